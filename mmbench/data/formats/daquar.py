"""DAQUAR: ``data.csv`` (``question,answer,image_id``) and ``{train,test}_images_list.txt``.

An answer of several objects, ``"book, scissor, papers"``, is kept whole as the one answer. A fixed tenth of the
training images serves as validation. Malinowski and Fritz 2014 (arXiv 1410.0210).
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.example import TEST, TRAIN, Example
from mmbench.data.formats.parsed import (
    Parsed,
    existing,
    folder_of,
    group_questions,
    images_folder,
    read_text,
    with_validation,
)

_COLUMNS = {"question", "answer", "image_id"}


def read(source: SourceSettings) -> Parsed:
    """Questions of the images that a split list names; those of other images are counted and left out."""
    existing(source.path)
    folder = folder_of(source)
    if not is_daquar(folder):
        raise UserError(
            f"'{folder}' is not in the form of DAQUAR: it needs data.csv, train_images_list.txt and "
            "test_images_list.txt"
        )
    images = images_folder(source, "images")
    parsed = Parsed({})
    names = {split: _names(folder / f"{split}_images_list.txt") for split in (TRAIN, TEST)}
    parsed.left_out["images that both lists name"] += len(set(names[TRAIN]) & set(names[TEST]))
    names[TRAIN] = [name for name in names[TRAIN] if name not in set(names[TEST])]
    known = [name for listed in names.values() for name in listed]
    questions = group_questions(_records(folder / "data.csv", parsed), known, parsed.left_out)
    for split, listed in names.items():
        parsed.splits[split] = [
            Example(name, str(_image(images, name)), questions=questions.get(name, [])) for name in listed
        ]
    parsed.splits = with_validation(parsed.splits)
    return parsed


def is_daquar(folder: Path) -> bool:
    """Whether a folder is laid out as DAQUAR."""
    return all((folder / name).is_file() for name in ("data.csv", "train_images_list.txt", "test_images_list.txt"))


def _names(file: Path) -> list[str]:
    lines = (line.strip() for line in read_text(file).splitlines())
    return list(dict.fromkeys(line.removesuffix(".png").removesuffix(".jpg") for line in lines if line))


def _image(folder: Path, name: str) -> Path:
    png = folder / f"{name}.png"
    return png if png.is_file() else folder / f"{name}.jpg"


def _records(file: Path, parsed: Parsed) -> Iterator[tuple[str, str, list[str]]]:
    rows = csv.DictReader(io.StringIO(read_text(file)))
    if not set(rows.fieldnames or ()) >= _COLUMNS:
        raise UserError(f"'{file}' must have the columns question, answer and image_id in its first line")
    for row in rows:
        parsed.num_records += 1
        if any(row[column] is None for column in _COLUMNS):
            parsed.malformed(f"{file.name} line {rows.line_num}", "fewer columns than the first line")
        else:
            yield row["image_id"].strip(), row["question"].strip(), [row["answer"].strip()]
