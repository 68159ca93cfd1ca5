"""Training steps shared by two processes, as DDP shares them."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmbench.data.batch import Batch
from mmbench.families.family import Family
from tests.families.tiny import rows_of

Gradients = dict[str, Tensor]
"""Name -> gradient of every parameter that has one."""


def gradients_of_two(families: Mapping[str, Family], steps: list[Batch], folder: Path) -> dict[str, list[Gradients]]:
    """What each family's parameters get in each step of 8 rows when two processes take half of the rows each.

    Args:
        families: by name; they stay as they are.
        steps: draws of step ``k`` follow from ``torch.manual_seed(k)``.
        folder: an empty one.
    """
    torch.save({"families": dict(families), "steps": steps, "store": str(folder / "store")}, folder / "work")
    torch.multiprocessing.spawn(_work, args=(str(folder),), nprocs=2)
    found: dict[str, list[Gradients]] = torch.load(folder / "gradients")
    return found


class _Step(nn.Module):
    """A training step as the forward pass, which is what DDP wraps."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = family

    def forward(self, batch: Batch) -> Tensor:
        """The loss."""
        loss: Tensor = self.family.training_step(batch, 0)["loss"]
        return loss


def _work(rank: int, folder: str) -> None:
    """One of the two processes: its half of every step."""
    torch.set_num_threads(1)
    work = torch.load(Path(folder) / "work", weights_only=False)
    torch.distributed.init_process_group("gloo", init_method=f"file://{work['store']}", rank=rank, world_size=2)
    found: dict[str, list[Gradients]] = {}
    for name, family in work["families"].items():
        family.micro_batches_per_step = 2
        step = DistributedDataParallel(_Step(family))
        found[name] = []
        for index, batch in enumerate(work["steps"]):
            family.zero_grad()
            torch.manual_seed(index)
            step(rows_of(batch, slice(4 * rank, 4 * rank + 4))).backward()
            found[name].append({key: p.grad.clone() for key, p in family.named_parameters() if p.grad is not None})
    if rank == 0:
        torch.save(found, Path(folder) / "gradients")
    torch.distributed.destroy_process_group()
