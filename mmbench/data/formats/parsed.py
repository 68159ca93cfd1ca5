"""What reading one source gives, and what the formats share: rules for splits, kinds of questions, file reading."""

import gzip
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.example import TRAIN, VALIDATION, Example, Question

MALFORMED = "malformed records"
"""The kind of problem of a line or record that cannot be read; a share of them is tolerated."""
MIN_KIND_SHARE = 0.005
"""Kinds of questions with a smaller share of them are ``other``, where the data names no kinds."""
MAX_KINDS = 20
"""Kinds of questions that are told apart where the data names none; the rest are ``other``."""


@dataclass
class Problem:
    """Something wrong with one item of a source, for the data check."""

    what: str
    """The kind of problem, for instance `MALFORMED`."""
    where: str
    """The item: a file and line, or an id."""
    why: str = ""
    """What exactly is wrong, where the kind does not say it."""


@dataclass
class Parsed:
    """One source as read: nothing decoded, nothing joined."""

    splits: dict[str, list[Example]]
    """Examples by split; those of a split keep the order of the files."""
    redistributable: bool = False
    """Whether the licence lets pictures appear in a report."""
    left_out: Counter[str] = field(default_factory=Counter)
    """What was read and is not used, counted."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong with single items."""
    num_records: int = 0
    """Lines or records that were read, malformed ones included."""

    def malformed(self, where: str, why: str = "") -> None:
        """Note a record that is left out because it cannot be read."""
        self.problems.append(Problem(MALFORMED, where, why))
        self.left_out[MALFORMED] += 1


Reader = Callable[[SourceSettings], Parsed]
"""A format: reads a source, raises `UserError` where the files are not what they should be."""


def with_validation(splits: dict[str, list[Example]]) -> dict[str, list[Example]]:
    """The splits with a validation split: where there is none, the tenth of train whose id hashes to 0 modulo 10."""
    if splits.get(VALIDATION):
        return splits
    parts: dict[str, list[Example]] = {TRAIN: [], VALIDATION: []}
    for example in splits.get(TRAIN, []):
        parts[VALIDATION if is_tenth(example.image_id) else TRAIN].append(example)
    if not parts[TRAIN]:
        return {**splits, VALIDATION: []}
    return {**splits, **parts}


def is_tenth(image_id: str) -> bool:
    """Whether an image belongs to the tenth that serves as validation split: a function of its id alone."""
    return int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8], "big") % 10 == 0


def name_kinds(splits: dict[str, list[Example]]) -> None:
    """Name the kind of every question that has none: its first two words, if these are among the most usual."""
    unnamed = [q for examples in splits.values() for example in examples for q in example.questions if not q.kind]
    counts = Counter(_first_words(question.text) for question in unnamed)
    usual = sorted(counts, key=lambda kind: (-counts[kind], kind))[: MAX_KINDS - 1]
    kept = {kind for kind in usual if counts[kind] >= MIN_KIND_SHARE * len(unnamed)}
    for question in unnamed:
        kind = _first_words(question.text)
        question.kind = kind if kind in kept else "other"


def group_questions(
    records: Iterable[tuple[str, str, list[str]]], known: Iterable[str], left_out: Counter[str]
) -> dict[str, list[Question]]:
    """Questions by image from (image id, question, answers), numbered within their image; those of unknown images are
    counted."""
    images = set(known)
    grouped: dict[str, list[Question]] = defaultdict(list)
    for image_id, text, answers in records:
        if image_id not in images:
            left_out["questions of images in no split"] += 1
            continue
        grouped[image_id].append(Question(f"{image_id}#question{len(grouped[image_id])}", text, answers, ""))
    return grouped


def folder_of(source: SourceSettings) -> Path:
    """The folder of a source: its path, or where its file lies.

    Raises:
        UserError: the path does not exist.
    """
    path = existing(source.path)
    return path if path.is_dir() else path.parent


def existing(path: str) -> Path:
    """The path, which must exist.

    Raises:
        UserError: it does not, or none was given.
    """
    if not path:
        raise UserError("a data source has no 'path'; give the folder or file of the data")
    found = Path(path).expanduser()
    if not found.exists():
        raise UserError(f"there is no data at '{path}'; give the folder or file of the data")
    return found


def images_folder(source: SourceSettings, *usual: str) -> Path:
    """The folder of a source's images: as given, else the first usual name that exists, else beside the texts.

    Raises:
        UserError: a folder was given and does not exist.
    """
    if source.images:
        given = Path(source.images).expanduser()
        if not given.is_dir():
            raise UserError(f"there is no image folder '{source.images}'; set the source's 'images' to a folder")
        return given
    folder = folder_of(source)
    return next((folder / name for name in usual if (folder / name).is_dir()), folder)


def read_text(file: Path) -> str:
    """The text of a file, UTF-8, gzip or plain.

    Raises:
        UserError: it cannot be read or is not UTF-8.
    """
    try:
        raw = file.read_bytes()
        return (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"'{file}' cannot be read as UTF-8 text: {error}") from error


def read_json(file: Path) -> Any:
    """The content of a JSON file, gzip or plain.

    Raises:
        UserError: it is no JSON.
    """
    try:
        return json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise UserError(f"'{file}' is not valid JSON: {error}") from error


def _first_words(text: str) -> str:
    return " ".join(text.lower().split()[:2]) or "other"
