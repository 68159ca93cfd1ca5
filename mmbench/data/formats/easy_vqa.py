"""easy-VQA: ``{train,test}/questions.json`` of ``[question, answer, image id]`` and ``{train,test}/images/ID.png``.

A fixed tenth of the training images serves as validation. Zhou 2019 (easy-vqa).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.example import TEST, TRAIN, Example, Question
from mmbench.data.formats.parsed import Parsed, existing, folder_of, images_folder, read_json, with_validation


def read(source: SourceSettings) -> Parsed:
    """Questions with their one answer each; images that no question asks about are not looked for."""
    existing(source.path)
    folder = folder_of(source)
    if not is_easy_vqa(folder):
        raise UserError(
            f"'{folder}' is not in the form of easy-VQA: it needs train/questions.json and test/questions.json"
        )
    root = images_folder(source)
    parsed = Parsed({}, redistributable=True)
    for split in (TRAIN, TEST):
        examples: dict[str, Example] = {}
        for image_id, text, answer in _records(folder / split / "questions.json", parsed):
            name = f"{split}-{image_id}"
            example = examples.setdefault(name, Example(name, str(root / split / "images" / f"{image_id}.png")))
            example.questions.append(Question(f"{name}#question{len(example.questions)}", text, [answer], ""))
        parsed.splits[split] = list(examples.values())
    parsed.splits = with_validation(parsed.splits)
    return parsed


def is_easy_vqa(folder: Path) -> bool:
    """Whether a folder is laid out as easy-VQA."""
    return all((folder / split / "questions.json").is_file() for split in (TRAIN, TEST))


def _records(file: Path, parsed: Parsed) -> Iterator[tuple[str, str, str]]:
    """(image id, question, answer); records of another form are noted."""
    content: Any = read_json(file)
    if not isinstance(content, list):
        raise UserError(f"'{file}' is not in the form of easy-VQA: it must be a list of [question, answer, image id]")
    for number, record in enumerate(content):
        parsed.num_records += 1
        if isinstance(record, list) and len(record) == 3 and isinstance(record[0], str) and isinstance(record[1], str):
            yield str(record[2]), record[0], record[1]
        else:
            parsed.malformed(f"{file.parent.name}/{file.name} [{number}]", "not [question, answer, image id]")
