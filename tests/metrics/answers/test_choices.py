"""Multiple choice."""

import pytest

from mmbench.metrics import choice_accuracy


def test_the_highest_score_is_the_choice() -> None:
    scores = {"a": [0.1, 0.7, 0.2], "b": [-3.0, -4.0], "c": [float("-inf"), 0.0]}
    assert choice_accuracy(scores, {"a": 1, "b": 1, "c": 1}) == {"a": 1.0, "b": 0.0, "c": 1.0}


def test_choices_that_tie_share_the_question() -> None:
    alike = choice_accuracy({"a": [2.0] * 4, "b": [5.0, 5.0, 1.0]}, {"a": 3, "b": 2})
    assert alike == {"a": 0.25, "b": 0.0}
    assert choice_accuracy({"b": [5.0, 5.0, 1.0]}, {"b": 0}) == {"b": 0.5}


@pytest.mark.parametrize(
    "scores, right, words",
    [
        ({}, {}, "no samples"),
        ({"a": [1.0]}, {"b": 0}, "'a', 'b'"),
        ({"a": [1.0, 2.0]}, {"a": 2}, "has 2 choices"),
        ({"a": []}, {"a": 0}, "has 0 choices"),
        ({"a": [1.0, float("nan")]}, {"a": 0}, "not numbers"),
    ],
)
def test_what_cannot_be_scored_is_named(scores: dict[str, list[float]], right: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        choice_accuracy(scores, right)
