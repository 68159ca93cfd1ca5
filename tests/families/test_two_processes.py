"""One process equals two: the same gradients, and no waiting for ever where one has nothing to learn from."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmbench.data.batch import IGNORED, Batch, Role
from mmbench.families.registry import FAMILIES
from tests.families.tiny import Build, rows_of
from tests.families.two_processes import gradients_of_two


@pytest.mark.slow
def test_one_process_equals_two(build: Build, batch: Batch, tmp_path: Path) -> None:
    """Each family on three steps: an ordinary one, one whose second half has no caption, one without any question."""
    half = torch.arange(8) >= 4
    steps = [
        batch,
        without(batch, half, Role.CAPTION, Role.TEXT, Role.TEXT_QUERY, Role.IMAGE_QUERY),
        without(without(batch, ~half, Role.CAPTION), half, Role.ANSWER),
    ]
    families = {name: build(name, open_gates=True) for name in FAMILIES}
    found = gradients_of_two(families, steps, tmp_path)
    for name, family in families.items():
        for index, step in enumerate(steps):
            family.zero_grad()
            torch.manual_seed(index)
            family.training_step(step, 0)["loss"].backward()
            for parameter_name, parameter in family.named_parameters():
                gradient = found[name][index][parameter_name]
                message = f"{name}, step {index}, {parameter_name}"
                assert parameter.grad is not None
                torch.testing.assert_close(
                    gradient, parameter.grad, rtol=1e-3, atol=1e-6, msg=lambda text, at=message: f"{at}: {text}"
                )


def without(batch: Batch, rows: Tensor, *roles: Role) -> Batch:
    """The batch with the texts of these roles blanked in these rows, and the totals counted anew."""
    blank = rows[:, None] & torch.isin(batch.roles, torch.tensor(roles))
    changed = rows_of(batch, slice(None))
    changed.segments = batch.segments.masked_fill(blank, 0)
    changed.roles = batch.roles.masked_fill(blank, int(Role.PAD))
    changed.labels = batch.labels.masked_fill(blank, IGNORED)
    supervised = changed.labels != IGNORED
    changed.totals = dataclasses.replace(
        batch.totals,
        caption_tokens=int((supervised & (changed.roles == Role.CAPTION)).sum()),
        answer_tokens=int((supervised & (changed.roles == Role.ANSWER)).sum()),
        pairs=int((changed.roles == Role.IMAGE_QUERY).sum()),
    )
    return changed
