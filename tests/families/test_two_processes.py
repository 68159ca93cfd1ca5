"""One process equals two: the same gradients, and no waiting for ever where one has nothing to learn from."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmbench.data.batch import IGNORED, Batch, Role
from mmbench.families.family import Family
from mmbench.families.registry import FAMILIES
from tests.families.tiny import Build, rows_of


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
    torch.save({"families": families, "steps": steps, "store": str(tmp_path / "store")}, tmp_path / "work")
    torch.multiprocessing.spawn(_work, args=(str(tmp_path),), nprocs=2)
    found = torch.load(tmp_path / "gradients")
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


class Step(nn.Module):
    """A training step as the forward pass, which is what DDP wraps."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = family

    def forward(self, batch: Batch) -> Tensor:
        """The loss."""
        loss: Tensor = self.family.training_step(batch, 0)["loss"]
        return loss


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


def _work(rank: int, folder: str) -> None:
    """One of the two processes: its half of every step."""
    torch.set_num_threads(1)
    work = torch.load(Path(folder) / "work", weights_only=False)
    torch.distributed.init_process_group("gloo", init_method=f"file://{work['store']}", rank=rank, world_size=2)
    gradients: dict[str, list[dict[str, Any]]] = {}
    for name, family in work["families"].items():
        family.micro_batches_per_step = 2
        step = DistributedDataParallel(Step(family))
        gradients[name] = []
        for index, batch in enumerate(work["steps"]):
            family.zero_grad()
            torch.manual_seed(index)
            step(rows_of(batch, slice(4 * rank, 4 * rank + 4))).backward()
            gradients[name].append({key: p.grad.clone() for key, p in family.named_parameters()})
    if rank == 0:
        torch.save(gradients, Path(folder) / "gradients")
    torch.distributed.destroy_process_group()
