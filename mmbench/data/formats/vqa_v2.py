"""VQA v2 in the official JSON: pairs of a questions file and an annotations file, plain or gzipped.

``v2_OpenEnded_mscoco_train2014_questions.json`` (``questions[]``: ``question_id``, ``image_id``, ``question``) with
``v2_mscoco_train2014_annotations.json`` (``annotations[]``: ``question_id``, ``answers[].answer``, ``question_type``).
The images are COCO's: ``train2014/COCO_train2014_000000123456.jpg``. The answers of the official test are not public:
val serves as test, and a fixed tenth of the training images as validation. A subset whose name says ``test`` and that
has annotations serves as test, and val then as validation. Goyal et al. 2017 (arXiv 1612.00837).
"""

import re
from pathlib import Path
from typing import Any

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.example import TEST, TRAIN, VALIDATION, Example, Question
from mmbench.data.formats.parsed import Parsed, existing, read_json, with_validation

_QUESTIONS = re.compile(r"questions\.json(\.gz)?$")
_SUBSET = re.compile(r"(train|val|test)(-dev)?(20\d\d)?")


def read(source: SourceSettings) -> Parsed:
    """Questions with all their human answers; the kind is the official question type."""
    path = existing(source.path)
    folder = path if path.is_dir() else path.parent
    pairs = [(q, a) for q, a in question_files(folder) if path.is_dir() or path in (q, a)]
    if not pairs:
        raise UserError(
            f"'{path}' has no pair of *questions.json and *annotations.json in the form of VQA v2 (.gz is fine)"
        )
    if source.images and not Path(source.images).expanduser().is_dir():
        raise UserError(f"there is no image folder '{source.images}'; set the source's 'images' to a folder")
    parsed = Parsed({})
    has_test = any("test" in questions.name for questions, _ in pairs)
    for questions, annotations in pairs:
        _read_pair(questions, annotations, source, has_test, parsed)
    parsed.splits = with_validation(parsed.splits)
    return parsed


def question_files(folder: Path) -> list[tuple[Path, Path]]:
    """(questions, annotations) of each subset that has both."""
    pairs = []
    for questions in sorted(file for file in folder.iterdir() if _QUESTIONS.search(file.name)):
        stem = _QUESTIONS.sub("annotations", questions.name).replace("OpenEnded_", "")
        found = [folder / f"{stem}.json", folder / f"{stem}.json.gz"]
        pairs += [(questions, file) for file in found if file.is_file()][:1]
    return pairs


def _read_pair(questions: Path, annotations: Path, source: SourceSettings, has_test: bool, parsed: Parsed) -> None:
    asked, answered = read_json(questions), read_json(annotations)
    examples: dict[tuple[str, int], Example] = {}
    try:
        answers = {annotation["question_id"]: annotation for annotation in answered["annotations"]}
        for question in asked["questions"]:
            parsed.num_records += 1
            annotation = answers.get(question["question_id"], {})  # one without answers is counted by the data set
            subset = _subset(questions, asked, question)
            key = (subset, question["image_id"])
            if key not in examples:
                name = f"COCO_{subset}_{question['image_id']:012d}"
                examples[key] = Example(name, _image(questions.parent, source, subset, name))
                parsed.splits.setdefault(_split(subset, has_test), []).append(examples[key])
            given = [str(answer["answer"]) for answer in annotation.get("answers", [])]
            kind = annotation.get("question_type") or annotation.get("answer_type") or ""
            examples[key].questions.append(Question(str(question["question_id"]), question["question"], given, kind))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"'{questions}' or '{annotations}' is not in the form of VQA v2: {error!r}") from error


def _subset(file: Path, content: Any, question: Any) -> str:
    """``train2014``: from the file's name, else what the file or the question says."""
    told = [file.name, str(content.get("data_subtype", "")), str(question.get("split", ""))]
    match = next((found for text in told if (found := _SUBSET.search(text))), None)
    if match is None:
        raise UserError(f"'{file}' does not say in its name whether it is for train, val or test; rename it")
    return match[0] if match[3] else f"{match[0]}2014"


def _split(subset: str, has_test: bool) -> str:
    if subset.startswith("train"):
        return TRAIN
    return VALIDATION if has_test and subset.startswith("val") else TEST


def _image(folder: Path, source: SourceSettings, subset: str, name: str) -> str:
    """Where an image lies: in a folder of the subset's name, or all in one folder; also by COCO 2017's short names."""
    roots = [Path(source.images).expanduser()] if source.images else [folder, folder / "images"]
    names = (f"{name}.jpg", f"{name[-12:]}.jpg")
    places = [place / file for file in names for root in roots for place in (root / subset, root)]
    return str(next((place for place in places if place.is_file()), places[0]))
