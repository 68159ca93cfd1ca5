"""Answers from the official files: the metric's own scores, by answer type and by question type."""

import copy
import random
from pathlib import Path
from typing import Any

import pytest

from mmbench.config.errors import UserError
from mmbench.metrics import vqa_accuracy
from mmbench.scoring.files import read_json
from mmbench.scoring.scores import Scores
from mmbench.scoring.vqa import score_vqa
from tests.metrics.reference import require_data
from tests.scoring.files import annotations_of, answers_of, questions_of, refused, write_json

ANSWERS = {
    7: ["yes"] * 6 + ["no"] * 4,
    3: ["2"] * 3 + ["three"] * 3 + ["a dog"] * 4,
    12: ["dog"] * 10,
    5: ["red"] * 2 + ["blue"] * 8,
}
KINDS = {7: ("yes/no", "is the"), 3: ("number", "how many"), 12: ("other", "what"), 5: ("other", "what")}
PREDICTIONS = {7: "Yes!", 3: "two", 12: "Dog", 5: "the red"}
EXPECTED = {7: 1.0, 3: 0.9, 12: 0.0, 5: 0.6}


def score(
    folder: Path, results: Any, annotations: Any = None, questions: Any = None, question_types: bool = False
) -> Scores:
    return score_vqa(
        write_json(folder / "questions.json", questions or questions_of(list(ANSWERS))),
        write_json(folder / "annotations.json", annotations or annotations_of(ANSWERS, KINDS)),
        write_json(folder / "results.json", results),
        question_types,
    )


def test_accuracy_overall_and_by_answer_type(tmp_path: Path) -> None:
    assert vqa_accuracy(PREDICTIONS, ANSWERS) == pytest.approx(EXPECTED)
    found = score(tmp_path, answers_of(PREDICTIONS))
    assert found.values == pytest.approx(
        {"vqa_accuracy": 0.625, "vqa_accuracy/number": 0.9, "vqa_accuracy/other": 0.3, "vqa_accuracy/yes/no": 1.0}
    )
    (rows,) = found.per_example
    assert rows.metric == "vqa_accuracy"
    assert dict(zip(rows.example_ids, rows.scores, strict=True)) == vqa_accuracy(PREDICTIONS, ANSWERS)
    assert dict(zip(rows.example_ids, rows.cluster_ids, strict=True)) == {7: 0, 3: 0, 12: 1, 5: 1}
    assert found.title == "results.json: 4 questions, 2 images"
    assert found.notes == []


def test_question_types_have_a_prefix_of_their_own(tmp_path: Path) -> None:
    kinds = {question: ("other", "other") for question in ANSWERS}
    found = score(tmp_path, answers_of(PREDICTIONS), annotations_of(ANSWERS, kinds), question_types=True)
    assert list(found.values) == ["vqa_accuracy", "vqa_accuracy/other", "vqa_accuracy/question_type/other"]
    found = score(tmp_path, answers_of(PREDICTIONS), question_types=True)
    assert found.values["vqa_accuracy/question_type/what"] == pytest.approx(0.3)
    assert found.values["vqa_accuracy/question_type/how many"] == pytest.approx(0.9)


def test_the_order_of_the_files_changes_nothing(tmp_path: Path) -> None:
    questions, annotations = questions_of(list(ANSWERS)), annotations_of(ANSWERS, KINDS)
    results = answers_of(PREDICTIONS)
    expected = score(tmp_path, results, question_types=True)
    for rows in (questions["questions"], annotations["annotations"], results):
        random.Random(1).shuffle(rows)
    assert score(tmp_path, results, annotations, questions, question_types=True) == expected


def test_real_questions_with_answers_of_people(tmp_path: Path) -> None:
    folder = require_data("vqa_v2")
    annotated = read_json(folder / "annotations.json.gz")["annotations"]
    rng = random.Random(0)
    given = {row["question_id"]: rng.choice(row["answers"])["answer"] for row in annotated}
    results = write_json(tmp_path / "results.json.gz", answers_of(given))
    found = score_vqa(folder / "questions.json.gz", folder / "annotations.json.gz", results)
    people = {row["question_id"]: [answer["answer"] for answer in row["answers"]] for row in annotated}
    scores = vqa_accuracy(given, people)
    assert found.values["vqa_accuracy"] == pytest.approx(sum(scores.values()) / len(scores), abs=1e-12)
    for kind in ("yes/no", "number", "other"):
        members = [scores[row["question_id"]] for row in annotated if row["answer_type"] == kind]
        assert found.values[f"vqa_accuracy/{kind}"] == pytest.approx(sum(members) / len(members), abs=1e-12)


def without(key: str) -> dict[str, Any]:
    """Annotations without a field, in the questions and in their answers."""
    annotations = annotations_of(ANSWERS, KINDS)
    for row in annotations["annotations"]:
        row.pop(key, None)
        for answer in row["answers"]:
            answer.pop(key, None)
    return annotations


def test_answers_without_ids_count_as_different_peoples(tmp_path: Path) -> None:
    found = score(tmp_path, answers_of(PREDICTIONS), without("answer_id"))
    assert found.values == score(tmp_path, answers_of(PREDICTIONS)).values
    assert len(found.notes) == 1 and "have no 'answer_id'" in found.notes[0]


def test_without_answer_types_the_overall_accuracy_is_left(tmp_path: Path) -> None:
    found = score(tmp_path, answers_of(PREDICTIONS), without("answer_type"))
    assert list(found.values) == ["vqa_accuracy"]
    assert "no 'answer_type'" in found.notes[0]
    annotations = annotations_of(ANSWERS, KINDS)
    del annotations["annotations"][1]["answer_type"]
    with pytest.raises(UserError, match="has no 'answer_type'"):
        score(tmp_path, answers_of(PREDICTIONS), annotations)
    with pytest.raises(UserError, match="has no 'question_type'"):
        score(tmp_path, answers_of(PREDICTIONS), without("question_type"), question_types=True)


def test_unusual_numbers_of_answers_are_noted(tmp_path: Path) -> None:
    few = ANSWERS | {5: ["red", "blue"]}
    (note,) = score(tmp_path, answers_of(PREDICTIONS), annotations_of(few, KINDS)).notes
    assert "fewer than 4 answers" in note and "1 with 2, 3 with 10" in note
    nine = ANSWERS | {5: ["red"] * 9}
    assert score(tmp_path, answers_of(PREDICTIONS), annotations_of(nine, KINDS)).notes == [
        "questions by number of human answers: 1 with 9, 3 with 10"
    ]


def test_repeated_rows_and_unused_annotations_are_counted(tmp_path: Path) -> None:
    rows = answers_of(PREDICTIONS)
    found = score(
        tmp_path, [*rows, copy.copy(rows[0])], annotations_of(ANSWERS | {99: ["x"] * 10}, KINDS | {99: ("other", "x")})
    )
    assert found.values == score(tmp_path, rows).values
    assert found.notes == [
        "1 row of the results repeat another and are dropped",
        "1 annotation without a question: left out",
    ]


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({7: "yes"}, "3 of 4 questions in"),
        ({7: "yes"}, "have no result in"),
        (PREDICTIONS | {99: "x"}, "1 of 5 results in"),
        (PREDICTIONS | {n: "x" for n in range(100, 107)}, "100, 101, 102, 103, 104, …"),
        ({str(question): "x" for question in ANSWERS}, "its ids are strings, the others whole numbers"),
        (PREDICTIONS | {5: None}, "'answer' of question 5 in"),
        (PREDICTIONS | {5: 2}, "is the number 2, not a string"),
        ({}, "no samples"),
    ],
)
def test_refused_results(results: dict[Any, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        score(tmp_path, answers_of(results))
    assert message in refused(error)


def test_two_answers_to_a_question_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="question 7 has more than one row"):
        score(tmp_path, [*answers_of(PREDICTIONS), {"question_id": 7, "answer": "no"}])


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([], "1 questions have no answers in"),
        (None, "'answers' of question 5 in"),
        (["red"], "is a list with the string 'red'; a list of objects"),
        ([{"answer": None}], "whose 'answer' is null"),
        ([{"text": "red"}], "whose 'answer' is null"),
    ],
)
def test_refused_answers(answers: Any, message: str, tmp_path: Path) -> None:
    annotations = annotations_of(ANSWERS, KINDS)
    next(row for row in annotations["annotations"] if row["question_id"] == 5)["answers"] = answers
    with pytest.raises(UserError) as error:
        score(tmp_path, answers_of(PREDICTIONS), annotations)
    assert message in refused(error)


def test_refused_questions_and_annotations(tmp_path: Path) -> None:
    some = {question: ANSWERS[question] for question in (7, 3)}
    with pytest.raises(UserError, match=r"2 of 4 questions in .* have no annotation in .*: 5, 12"):
        score(tmp_path, answers_of(PREDICTIONS), annotations_of(some, KINDS))
    with pytest.raises(UserError, match=r"question 7 stands 2 times in .*questions\.json"):
        score(tmp_path, answers_of(PREDICTIONS), questions=questions_of([*ANSWERS, 7]))
    twice = annotations_of(ANSWERS, KINDS)
    twice["annotations"].append(twice["annotations"][0])
    with pytest.raises(UserError, match=r"question 7 stands 2 times in .*annotations\.json"):
        score(tmp_path, answers_of(PREDICTIONS), twice)
