"""A user's own data: one JSON object a line, one image each.

``{"image": "photos/1.jpg", "split": "train", "captions": ["…"], "questions": [{"question": "…", "answers": ["…"]}]}``

``image``: path relative to the file (or to the source's ``images``). ``split``: ``train``, ``validation`` or
``test``. ``captions`` and ``questions`` may each be missing; a question may have an ``id`` (text or whole number), a
``kind``, and ``choices`` if it is a multiple choice. A line may have a ``label``, the class of its image. Where no line
says ``validation``, a fixed tenth of the training images serves as validation.
"""

import json
from pathlib import Path
from typing import Any

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.answers import check_choices
from mmbench.data.example import TEST, TRAIN, VALIDATION, Example, Question
from mmbench.data.formats.parsed import Parsed, existing, images_folder, read_text, with_validation

_FIELDS = {"image", "split", "captions", "questions", "label"}
_QUESTION_FIELDS = {"id", "question", "answers", "kind", "choices"}


def read(source: SourceSettings) -> Parsed:
    """All well-formed lines; the others are noted with their number and what is wrong. Lines of one image are joined.

    Raises:
        UserError: there is no file, or it is not UTF-8.
    """
    path = existing(source.path)
    files = jsonl_files(path)
    if not files:
        raise UserError(f"'{path}' has no .jsonl file; docs/data.md says what its lines hold")
    parsed = Parsed({}, redistributable=True)
    places: dict[str, tuple[str, Example]] = {}
    for file in files:
        folder = images_folder(source) if source.images else file.parent
        for number, line in enumerate(read_text(file).split("\n"), start=1):
            if not line.strip():
                continue
            parsed.num_records += 1
            try:
                _add(json.loads(line), folder, parsed, places)
            except json.JSONDecodeError as error:
                parsed.malformed(f"{file.name} line {number}", f"no JSON: {error.msg} at column {error.colno}")
            except _LineError as error:
                parsed.malformed(f"{file.name} line {number}", str(error))
    parsed.splits = with_validation(parsed.splits)
    return parsed


def jsonl_files(path: Path) -> list[Path]:
    """The JSONL files at a path."""
    return [path] if path.is_file() else sorted(path.glob("*.jsonl"))


class _LineError(Exception):
    """What is wrong with a line."""


def _add(record: Any, folder: Path, parsed: Parsed, places: dict[str, tuple[str, Example]]) -> None:
    """Check one line, then add what it holds."""
    if not isinstance(record, dict):
        raise _LineError("not a JSON object")
    _known(record, _FIELDS)
    image, split = record.get("image"), record.get("split")
    if not isinstance(image, str) or not image:
        raise _LineError("'image' must be the path of an image")
    if split not in (TRAIN, VALIDATION, TEST):
        raise _LineError(f"'split' is {json.dumps(split)}; it must be train, validation or test")
    captions = _texts(record.get("captions", []), "captions")
    asked = record.get("questions", [])
    if not isinstance(asked, list):
        raise _LineError("'questions' must be a list")
    questions = [_question(question) for question in asked]
    label = record.get("label", "")
    if not isinstance(label, str):
        raise _LineError(f"'label' is {json.dumps(label)}; it must be a text")
    if image not in places:
        places[image] = (split, Example(image, str(folder / image)))
        parsed.splits.setdefault(split, []).append(places[image][1])
    first_split, example = places[image]
    if first_split != split:
        raise _LineError(f"'{image}' is in split '{first_split}' on an earlier line")
    if label and example.label not in ("", label):
        raise _LineError(f"'{image}' has the label '{example.label}' on an earlier line, and '{label}' here")
    example.label = label or example.label
    example.captions += captions
    for question in questions:
        question.id = question.id or f"{image}#question{len(example.questions)}"
        example.questions.append(question)


def _question(record: Any) -> Question:
    if not isinstance(record, dict) or not isinstance(record.get("question"), str):
        raise _LineError("each of 'questions' must be an object with the text 'question'")
    _known(record, _QUESTION_FIELDS)
    answers = _texts(record.get("answers", []), "answers")
    name, kind = record.get("id", ""), record.get("kind", "")
    if not isinstance(name, str | int) or not isinstance(kind, str):
        raise _LineError("a question's 'id' must be a text or a whole number, its 'kind' a text")
    choices = _texts(record.get("choices", []), f"choices' of '{record['question']}")
    question = Question(str(name), record["question"], answers, kind, choices)
    if choices:
        try:
            check_choices(question)
        except ValueError as error:
            raise _LineError(f"'choices' of '{question.text}': {error}") from error
    return question


def _texts(value: Any, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise _LineError(f"'{name}' must be a list of texts")
    return list(value)


def _known(record: dict[str, Any], fields: set[str]) -> None:
    unknown = sorted(record.keys() - fields)
    if unknown:
        raise _LineError(f"unknown field '{unknown[0]}'; known are {', '.join(sorted(fields))}")
