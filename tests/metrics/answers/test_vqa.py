"""VQA accuracy: every rule of the official evaluation with the value it gives, and its bad input."""

import gzip
import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbench.metrics import exact_match, mean_by_group, multiple_choice_accuracy, vqa_accuracy
from mmbench.metrics.answers.normalization import normalize_answer
from tests.metrics.reference import require_data


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The Dog", "dog"),
        ("an apple, a pear", "apple pear"),
        ("two", "2"),
        ("none", "0"),
        ("ten dogs", "10 dogs"),
        ("eleven", "eleven"),
        ("black/white", "black white"),
        ("black / white", "black white"),
        ("t-shirt", "t shirt"),
        ("t- shirt", "t shirt"),
        ("1,000", "1000"),
        ("t-shirt 1,000", "tshirt 1000"),  # a comma between digits removes all marks
        ("what? yes-no", "what yes no"),  # one mark stands beside a space, the other does not
        ("black & white: it's #1", "black & white: it's #1"),
        ("u.s.", "us"),
        ("1.5", "1.5"),
        ("5.", "5"),
        ("." * 40 + "a", "." * 8 + "a"),
        ("dont", "don't"),
        ("Im", "im"),
        ("Ive", "ive"),
        ("hes", "he's"),
        ("somebody'd", "somebodyd"),
        ("couldnt've", "couldn't've"),
        ("couldn'tve", "couldn't've"),
        ("y'alld've", "y'all'd've"),
        ("'ow'sat", "'ow's'at"),
        ("shes", "shes"),
        ("a\u00a0dog", "dog"),
        ("", ""),
        ("the", ""),
    ],
)
def test_normalization(answer: str, expected: str) -> None:
    assert normalize_answer(answer) == expected


@pytest.mark.parametrize(("matches", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (9, 1.0), (10, 1.0)])
def test_leave_one_out(matches: int, score: float) -> None:
    answers = ["cat"] * matches + [f"other {i}" for i in range(10 - matches)]
    assert vqa_accuracy({1: "cat"}, {1: answers})[1] == pytest.approx(score, abs=1e-12)


def test_unanimous_answers_are_compared_as_written() -> None:
    assert vqa_accuracy({1: "Dog"}, {1: ["dog"] * 10}) == {1: 0.0}
    assert vqa_accuracy({1: "two"}, {1: ["2"] * 10}) == {1: 0.0}
    assert vqa_accuracy({1: " dog\n"}, {1: ["dog", "dog "] * 5}) == {1: 1.0}
    assert vqa_accuracy({1: "Dog"}, {1: ["dog"] * 9 + ["cat"]}) == {1: 1.0}


def test_answers_are_not_changed() -> None:
    answers = {1: ["Two"] * 5 + ["2"] * 5}
    first = vqa_accuracy({1: "two"}, answers)
    assert answers == {1: ["Two"] * 5 + ["2"] * 5}
    assert vqa_accuracy({1: "two"}, answers) == first == {1: 1.0}


def test_groups_are_means_of_unrounded_scores() -> None:
    scores = {1: 0.3, 2: 0.6, 3: 1.0}
    assert mean_by_group(scores, {1: "number", 2: "number", 3: "other"}) == {
        "number": pytest.approx(0.45),
        "other": 1.0,
    }


def test_exact_match_normalises_always() -> None:
    assert exact_match({1: "The Dog!", 2: "cat"}, {1: ["dog"], 2: ["dog", "cow"]}) == {1: 1.0, 2: 0.0}
    assert multiple_choice_accuracy({1: "two", 2: "red"}, {1: "2", 2: "blue"}) == {1: 1.0, 2: 0.0}


@pytest.mark.filterwarnings("ignore")
@given(st.lists(st.text(max_size=6), min_size=1, max_size=12), st.text(max_size=6), st.randoms(use_true_random=False))
def test_order_of_people_changes_nothing(people: list[str], prediction: str, rng: random.Random) -> None:
    shuffled = rng.sample(people, len(people))
    score = vqa_accuracy({1: prediction}, {1: people})[1]
    assert vqa_accuracy({1: prediction}, {1: shuffled})[1] == pytest.approx(score, abs=1e-15)
    assert 0 <= score <= 1


@given(st.integers(4, 10), st.integers(0, 10))
def test_four_matches_are_enough(matches: int, others: int) -> None:
    answers = ["yes"] * matches + [f"no {i}" for i in range(others)]
    assert vqa_accuracy({1: "yes"}, {1: answers})[1] == 1.0


def test_few_answers_warn() -> None:
    with pytest.warns(UserWarning, match="1 with 1, 1 with 3, 1 with 10"):
        scores = vqa_accuracy({1: "a b", 2: "b", 3: "c"}, {1: ["a b"], 2: ["b", "b", "b"], 3: ["c"] * 10})
    assert scores == {1: 0.0, 2: pytest.approx(2 / 3), 3: 1.0}


class TestBadInput:
    def test_no_samples(self) -> None:
        with pytest.raises(ValueError, match="no samples"):
            vqa_accuracy({}, {})

    def test_question_without_answers(self) -> None:
        with pytest.raises(ValueError, match="question 3 has no answers"):
            vqa_accuracy({3: "a"}, {3: []})

    def test_missing_and_unknown_ids(self) -> None:
        with pytest.raises(ValueError, match="1 of 2 ids have no prediction, such as 2"):
            vqa_accuracy({1: "a"}, {1: ["a"] * 10, 2: ["b"] * 10})
        with pytest.raises(ValueError, match="1 predictions have ids without references, such as 9"):
            vqa_accuracy({1: "a", 9: "b"}, {1: ["a"] * 10})
        with pytest.warns(UserWarning, match="1 missing"):
            assert vqa_accuracy({1: "a"}, {1: ["a"] * 10, 2: ["b"] * 10}, missing="zero") == {1: 1.0, 2: 0.0}

    @pytest.mark.parametrize("wrong", [None, 2, math.nan])
    def test_wrong_types(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match=f"prediction for question 1 is of type {type(wrong).__name__}"):
            vqa_accuracy({1: wrong}, {1: ["a"] * 10})
        with pytest.raises(TypeError, match="an answer to question 1"):
            vqa_accuracy({1: "a"}, {1: [wrong] * 10})
        with pytest.raises(TypeError, match="one string"):
            vqa_accuracy({1: "a"}, {1: "aaaaaaaaaa"})  # type: ignore[dict-item]


def test_real_questions() -> None:
    """Over VQA v2, the commonest answer of people scores high."""
    path = require_data("vqa_v2", "annotations.json.gz")
    annotations = json.loads(gzip.decompress(path.read_bytes()))["annotations"]
    answers = {item["question_id"]: [answer["answer"] for answer in item["answers"]] for item in annotations}
    commonest = {item["question_id"]: item["multiple_choice_answer"] for item in annotations}
    scores = vqa_accuracy(commonest, answers)
    assert 0.85 < sum(scores.values()) / len(scores) < 0.98
