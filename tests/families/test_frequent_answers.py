"""What the families that choose among the frequent answers have in common."""

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from mmbench.data.batch import IGNORED, Batch
from mmbench.families.frequent_answers import AnswerChooser
from mmbench.families.segments import Texts
from tests.families.tiny import Build

SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "coattn": ("coattn", {}),
    "intermediate-attention": ("fusion", {}),
    "vit-classifier": ("fusion", {"placement": "pooled"}),
}


@pytest.fixture(params=SYSTEMS)
def family(request: pytest.FixtureRequest, build: Build) -> AnswerChooser:
    """Families of both kinds."""
    name, options = SYSTEMS[request.param]
    return cast(AnswerChooser, build(name, **options).eval())


def test_the_answer_is_the_likeliest_class(family: AnswerChooser, images: Tensor, prompts: list[list[int]]) -> None:
    sight = family.see(images)
    best = family.scores(sight, Texts.of(prompts, "cpu")).argmax(dim=-1).tolist()
    assert family.answer(sight, prompts, 8) == [family.answers[number] for number in best]


def test_an_answer_is_given_whole_and_of_ties_the_first(
    family: AnswerChooser, images: Tensor, prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    family.answers = [[*range(5, 25)], *family.answers[1:]]
    monkeypatch.setattr(family, "scores", lambda sight, texts: torch.zeros(len(texts.mask), len(family.answers)))
    assert family.answer(family.see(images), prompts, 1) == [family.answers[0]] * 3


def test_choices_are_scored_by_their_classes(family: AnswerChooser, images: Tensor, prompts: list[list[int]]) -> None:
    sight = family.see(images)
    expected = family.scores(sight, Texts.of(prompts, "cpu")).log_softmax(dim=-1)
    unknown, other = [1, 2, 3, 4, 5], [9]
    assert unknown not in family.answers and other not in family.answers
    choices = [[family.answers[2], family.answers[0]], [unknown, *family.answers, other], [unknown]]
    scores = family.choice_scores(sight, prompts, choices)
    torch.testing.assert_close(scores[0], expected[0, [2, 0]])
    torch.testing.assert_close(scores[1][1:-1], expected[1])
    assert bool((scores[1][0] < scores[1][1:-1]).all())
    assert scores[1][0] == scores[1][-1]
    assert len(scores[2]) == 1


def test_a_micro_batch_without_a_frequent_answer_reaches_the_same_parameters(
    family: AnswerChooser, batch: Batch
) -> None:
    """Other processes may wait for their gradients."""
    reached = []
    for classes in (batch.classes, torch.full_like(batch.classes, IGNORED)):
        family.zero_grad()
        loss = family.loss(replace(batch, classes=classes)).sums["classify"]
        torch.autograd.backward(loss)
        reached.append({name for name, p in family.named_parameters() if p.grad is not None})
    assert reached[0] == reached[1]
    assert loss == 0
    assert not any(bool(p.grad.any()) for p in family.parameters() if p.grad is not None)
