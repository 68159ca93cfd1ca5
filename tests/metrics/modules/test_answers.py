"""VQA accuracy by group in the class: batches and repeats change nothing, and groups are means of their questions."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.metrics import VQAAccuracy, mean_by_group, vqa_accuracy

WORDS = ["cat", "dog", "The Dog", "two", "2", ""]
ANSWER_TYPES = ["yes/no", "number", "other"]


@st.composite
def questions(draw: st.DrawFn) -> list[tuple[int, str, list[str], list[str]]]:
    """Question, prediction, answers, and its answer type and question type."""
    texts = st.sampled_from(WORDS)
    return [
        (
            question,
            draw(texts),
            draw(st.lists(texts, min_size=10, max_size=10)),
            [draw(st.sampled_from(ANSWER_TYPES)), draw(st.sampled_from(["what", "how many"]))],
        )
        for question in range(draw(st.integers(1, 6)))
    ]


def add(metric: VQAAccuracy, batch: list[tuple[int, str, list[str], list[str]]]) -> None:
    metric.update(*map(list, zip(*batch, strict=True)))  # type: ignore[arg-type]


@settings(deadline=None)
@given(questions(), st.data())
def test_groups_are_means_of_their_questions(batch: Any, data: st.DataObject) -> None:
    whole, parts = VQAAccuracy(), VQAAccuracy()
    add(whole, batch)
    shuffled = data.draw(st.permutations(batch))
    for example in [*shuffled, *data.draw(st.lists(st.sampled_from(batch)))]:  # and what a sampler repeats
        add(parts, [example])
    assert parts.compute() == whole.compute()
    scores = vqa_accuracy({row[0]: row[1] for row in batch}, {row[0]: row[2] for row in batch})
    assert whole.per_example() == scores
    expected = {"all": sum(scores.values()) / len(scores)}
    for kind in (0, 1):
        expected |= mean_by_group(scores, {row[0]: row[3][kind] for row in batch})
    named = {"vqa_accuracy" if name == "all" else f"vqa_accuracy/{name}": mean for name, mean in expected.items()}
    assert whole.compute() == pytest.approx(named, rel=0, abs=1e-15)


def test_groups_are_optional() -> None:
    metric = VQAAccuracy()
    metric.update([1], ["a cat"], [["cat"] * 9 + [""]])
    assert metric.compute() == {"vqa_accuracy": 1.0}
    metric.update([2], ["dog"], [["cat"] * 10], [["other"]])
    assert metric.compute() == {"vqa_accuracy": 0.5, "vqa_accuracy/other": 0.0}
    metric.reset()
    metric.update([1], ["cat"], [["cat"] * 10])
    assert metric.compute() == {"vqa_accuracy": 1.0}


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="1 lists of groups do not match 2 lists of references"):
        VQAAccuracy().update([1, 2], ["a", "b"], [["a"], ["b"]], [["other"]])
    with pytest.raises(ValueError, match="a group of 1 has no name"):
        VQAAccuracy().update([1], ["a"], [["a"]], [[""]])
    with pytest.raises(TypeError, match="the groups of 1 are not a list of strings"):
        VQAAccuracy().update([1], ["a"], [["a"]], ["other"])
    with pytest.raises(TypeError, match="the references of 1 are not a list of strings"):
        VQAAccuracy().update([1], ["a"], ["aaaaaaaaaa"])
    contradiction = VQAAccuracy()
    contradiction.update([1, 1], ["a", "a"], [["a"], ["a"]], [["other"], ["number"]])
    with pytest.raises(ValueError, match="1 has two different"):
        contradiction.compute()
