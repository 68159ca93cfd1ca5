"""Visual7W's telling questions, each a multiple choice of four: ``dataset_v7w_telling.json``.

``images[]`` with ``filename``, ``split`` (``train``, ``val``, ``test``) and ``qa_pairs[]``: ``qa_id``, ``question``,
``answer``, ``multiple_choices`` (the three wrong ones) and ``type`` (``what``, ``where``, …). Zhu et al. 2016
(arXiv 1511.03416).
"""

import hashlib
from pathlib import Path
from typing import Any

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.answers import check_choices
from mmbench.data.example import TEST, TRAIN, VALIDATION, Example, Question
from mmbench.data.formats.parsed import Parsed, existing, images_folder, read_json, with_validation

_SPLITS = {"train": TRAIN, "val": VALIDATION, "test": TEST}
_NO_ONE_RIGHT = "multiple choices without exactly one right answer (their questions stay)"


def read(source: SourceSettings) -> Parsed:
    """Questions with their one answer and four choices, whose order has nothing to do with which is right."""
    path = existing(source.path)
    file = path if path.is_file() else json_file(path)
    content: Any = read_json(file) if file else None
    if file is None or not is_visual7w(content):
        raise UserError(
            f"'{path}' is not in the form of Visual7W: it needs a dataset_v7w_*.json of images with qa_pairs"
        )
    folder = images_folder(source, "images")
    parsed = Parsed({})
    for number, image in enumerate(content["images"]):
        parsed.num_records += 1
        try:
            name, split = str(image["filename"]), _SPLITS[image["split"]]
            questions = [_question(record, parsed) for record in image["qa_pairs"]]
        except (KeyError, TypeError) as error:
            parsed.malformed(f"{file.name} images[{number}]", f"not in the form of Visual7W: {error!r}")
        else:
            parsed.splits.setdefault(split, []).append(Example(name, str(folder / name), questions=questions))
    parsed.splits = with_validation(parsed.splits)
    return parsed


def json_file(folder: Path) -> Path | None:
    """The folder's ``dataset_v7w_*.json``, if there is one."""
    return next(iter(sorted(folder.glob("dataset_v7w_*.json"))), None)


def is_visual7w(content: Any) -> bool:
    """Whether a JSON's content has the form of Visual7W."""
    images = content.get("images") if isinstance(content, dict) else None
    first = images[0] if isinstance(images, list) and images else None
    return isinstance(first, dict) and {"filename", "split", "qa_pairs"} <= first.keys()


def _question(record: Any, parsed: Parsed) -> Question:
    name, answer, wrong = str(record["qa_id"]), record["answer"], record["multiple_choices"]
    if not isinstance(answer, str) or not all(isinstance(choice, str) for choice in wrong):
        raise TypeError(f"answers of question {name} are no texts")
    choices = sorted([answer, *wrong], key=lambda choice: hashlib.sha256(f"{name} {choice}".encode()).digest())
    question = Question(name, record["question"], [answer], record.get("type", ""), choices)
    try:
        check_choices(question)
    except ValueError:
        parsed.left_out[_NO_ONE_RIGHT] += 1
        question.choices = []
    return question
