"""When the loss is no number: which module did it, and on which examples."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mmbench.data.batch import Batch
from mmbench.families.trainee import Trainee


class NonFiniteLossError(Exception):
    """The loss became NaN or infinite; the message names the first such module and the batch's examples."""


def check_finite(trainee: Trainee, losses: dict[str, Tensor], batch: Batch) -> None:
    """Raise if one of a step's losses is no finite number.

    Raises:
        NonFiniteLossError: with the objective, the first module whose output is not finite, and the examples.
    """
    broken = [name for name, value in losses.items() if not bool(torch.isfinite(value).all())]
    if broken:
        where = first_non_finite_module(trainee, batch)
        examples = ", ".join(batch.sample_ids[:5])
        raise NonFiniteLossError(f"{broken[0]} is not finite; first in {where}; the batch begins with {examples}")


@torch.no_grad()
def first_non_finite_module(trainee: Trainee, batch: Batch) -> str:
    """The name of the first module, in order of execution, whose output holds a NaN or an infinity."""
    found: list[str] = []

    def look(name: str) -> object:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if not found and any(not bool(torch.isfinite(t).all()) for t in _floats(output)):
                found.append(name)

        return hook

    handles = [module.register_forward_hook(look(name)) for name, module in trainee.named_modules() if name]  # type: ignore[arg-type]
    try:
        trainee.loss(batch)
    finally:
        for handle in handles:
            handle.remove()
    return f"module '{found[0]}'" if found else "the loss itself"


def _floats(output: object) -> Iterable[Tensor]:
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, tuple | list):
        return [tensor for item in output for tensor in _floats(item)]
    return []
