"""Gated cross-attention as published checkpoints have it: any blocks, and tokens that stand for the image."""

from typing import Any

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.data.batch import Batch
from mmbench.families.crossattn import CrossAttn
from tests.families.tiny import Build
from tests.families.vision.pictures import pictures


def test_layers_before_any_blocks(build: Build) -> None:
    assert list(crossattn(build, blocks=[3, 0]).cross_attention) == ["0", "3"]


def test_a_gate_for_each_entry(build: Build) -> None:
    family = crossattn(build, vector_gates=True)
    assert {gate.shape for gate in family.parts()["gates"].parameters()} == {(family.decoder.config.width,)}


@pytest.mark.parametrize(("lead_sees", "looking"), [(1, [False, False, True]), (2, [False, True, True])])
def test_the_last_tokens_of_the_lead_look_at_the_image(build: Build, lead_sees: int, looking: list[bool]) -> None:
    family = crossattn(build, open_gates=True, lead=[7, 8, 7], lead_sees=lead_sees)
    sight = family.see(pictures())
    prefix = family.prefix(sight, 4)
    assert torch.equal(prefix[2], family.decoder.embed(torch.tensor([family.bos_id, 7, 8, 7])))
    between = family.between(sight, torch.zeros(4, 4, dtype=torch.bool), 4)
    assert between is not None
    moved = (between(0, prefix) != prefix).any(-1)
    assert moved.tolist() == [[False, *looking]] * 4


def test_it_learns_with_a_lead(build: Build, batch: Batch) -> None:
    family = crossattn(build, open_gates=True, lead=[7, 8], layers=[-1], blocks=[1])
    loss = family.training_step(batch, 0)["loss"]
    gates = torch.autograd.grad(loss, list(family.parts()["gates"].parameters()))
    assert len(gates) == 2 and all(gate != 0 for gate in gates)


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("crossattn", {"blocks": [1, 4]}, r"'blocks' is \[1, 4\]; it must be different numbers from 0 to 3"),
        ("crossattn", {"blocks": [1, 1]}, "'blocks' is .* different"),
        ("crossattn", {"blocks": [1], "every": 1}, "'every' is 1, but 'blocks' says"),
        ("crossattn", {"lead": [300]}, "'lead' has 300"),
        ("crossattn", {"lead": [1], "lead_sees": 2}, "'lead_sees' is 2; it must be from 0 to 1"),
        ("crossattn", {"lead_sees": 2}, "'lead_sees' is 2, but no tokens stand for the image"),
        ("crossattn", {"lead": [1], "views": "tiles", "tile_tags": True}, "leave out lead or tile_tags"),
        ("crossattn", {"class_token": True}, "'class_token' is True, but the encoder gives its patches alone"),
        ("crossattn", {"class_token": True, "layers": [1], "with_last": True}, "'class_token' is true, which goes"),
        ("unified", {"class_token": True, "layers": [1]}, "the encoder has no class token"),
        (
            "unified",
            {"connector": "query", "connector_options": {"num_heads": 2}, "row_breaks": "newline"},
            "lie in no rows and columns",
        ),
    ],
)
def test_what_does_not_go_together(build: Build, family: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(family, **options)


def crossattn(build: Build, **options: Any) -> CrossAttn:
    family = build("crossattn", **options)
    assert isinstance(family, CrossAttn)
    return family
