"""Equal to the official VQA evaluation: to scores of it that are kept here, and to its code where that is at hand."""

import gzip
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.metrics.official_vqa import VARIABLE, load_official, official_folder, score_officially
from mmbench.metrics import VQAAccuracy, mean_by_group, vqa_accuracy
from mmbench.metrics.answers import normalization
from tests.metrics.answers.official_scores import read_official_scores
from tests.metrics.answers.rows import Row, edited, make_rows
from tests.metrics.reference import require_data


def scores_of(rows: list[Row]) -> dict[int, float]:
    predictions = {number: row.prediction for number, row in enumerate(rows)}
    return vqa_accuracy(predictions, {number: row.answers for number, row in enumerate(rows)})


def test_equals_kept_official_scores() -> None:
    rows, official = read_official_scores()
    assert len(rows) > 1000
    assert list(scores_of(rows).values()) == pytest.approx(official, rel=0, abs=1e-12)


def _without(table: dict[str, str], key: str) -> dict[str, str]:
    return {word: meaning for word, meaning in table.items() if word != key}


MISTAKES: list[tuple[str, Any]] = [
    *[("_MARKS", normalization._MARKS.replace(mark, "")) for mark in normalization._MARKS],
    *[("_MARKS", normalization._MARKS + mark) for mark in "':&%$#*^~|."],
    *[("_NUMBERS", _without(normalization._NUMBERS, word)) for word in normalization._NUMBERS],
    *[("_ARTICLES", normalization._ARTICLES - {word}) for word in normalization._ARTICLES],
    *[("_CONTRACTIONS", _without(normalization._CONTRACTIONS, key)) for key in normalization._CONTRACTIONS],
    *[
        ("_CONTRACTIONS", normalization._CONTRACTIONS | {key: meaning})
        for key, meaning in {"im": "i'm", "ive": "i've", "shes": "she's", "lets": "let's", "id've": "i'd've"}.items()
    ],
    ("_MAX_PERIODS", 0),
    ("_MAX_PERIODS", 31),
    ("_PERIOD", re.compile(r"(?<!\d)\.(?!\d)")),
    ("_PERIOD", re.compile(r"\.")),
    ("_DIGIT_COMMA_DIGIT", re.compile(r"\d,")),
    ("_DIGIT_COMMA_DIGIT", re.compile(r",\d")),
    ("_DIGIT_COMMA_DIGIT", re.compile("[0-9],[0-9]")),
]


def test_no_mistake_goes_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rule decides the score of some of the rows: with any one of them gone or wrong, a score is another."""
    rows, official = read_official_scores()
    texts = [" ".join([row.prediction, *row.answers]).lower() for row in rows]
    unseen = []
    for name, wrong in MISTAKES:
        right = getattr(normalization, name)
        about = [key for key in {*right} ^ {*wrong}] if isinstance(right, dict) else [""]
        places = [place for place, text in enumerate(texts) if any(key in text for key in about)]
        monkeypatch.setattr(normalization, name, wrong)
        found = scores_of([rows[place] for place in places]).values()
        if all(abs(score - official[place]) < 1e-9 for score, place in zip(found, places, strict=True)):
            unseen.append((name, about, wrong))
        monkeypatch.setattr(normalization, name, right)
    assert not unseen


def require_official() -> Path:
    folder = official_folder()
    if folder is None:
        pytest.skip(f"the official evaluation is compared with where {VARIABLE} names the folder of its vqaEval.py")
    return folder


def assert_equals_official(annotations: dict[Any, dict[str, Any]], predictions: dict[Any, str]) -> None:
    official = score_officially(require_official(), annotations, predictions)
    answers = {question: [each["answer"] for each in item["answers"]] for question, item in annotations.items()}
    scores = vqa_accuracy(predictions, answers)
    assert scores == pytest.approx(official.questions, rel=0, abs=1e-12)
    assert sum(scores.values()) / len(scores) == pytest.approx(official.overall, rel=0, abs=1e-12)
    metric = VQAAccuracy()
    groups = [[annotations[question][kind] for kind in ("answer_type", "question_type")] for question in predictions]
    metric.update([*predictions], [*predictions.values()], [answers[question] for question in predictions], groups)
    by_group = {
        f"vqa_accuracy/{name}": mean for name, mean in (official.answer_types | official.question_types).items()
    }
    assert metric.compute() == pytest.approx({"vqa_accuracy": official.overall, **by_group}, rel=0, abs=1e-12)
    for kind, means in (("answer_type", official.answer_types), ("question_type", official.question_types)):
        group_of = {question: item[kind] for question, item in annotations.items()}
        assert mean_by_group(scores, group_of) == pytest.approx(means, rel=0, abs=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_equals_official_code(seed: int) -> None:
    """Also on the official code's own list of contractions, should it hold one that is not known here."""
    known = load_official(require_official())(_NoQuestions(), None).contractions
    rows = dict(enumerate(make_rows(seed, texts=[*known, *known.values()])))
    annotations = {number: row.annotation() for number, row in rows.items()}
    assert_equals_official(annotations, {number: row.prediction for number, row in rows.items()})


class _NoQuestions:
    def getQuesIds(self) -> list[Any]:
        return []


def test_equals_official_code_on_real_questions() -> None:
    path = require_data("vqa_v2", "annotations.json.gz")
    items = json.loads(gzip.decompress(path.read_bytes()))["annotations"]
    annotations = {item["question_id"]: item for item in items}
    rng = random.Random(3)
    predictions = {
        question: edited(rng.choice(item["answers"])["answer"], rng) for question, item in annotations.items()
    }
    assert_equals_official(annotations, predictions)
