"""When the loss is no number: which module did it, and on which examples."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mmbench.data.batch import Batch
from mmbench.families.trainee import Trainee


class NonFiniteLossError(Exception):
    """The loss became NaN or infinite; the message names the first such module and the batch's examples."""


def check_finite(trainee: Trainee, loss: Tensor, batch: Batch) -> None:
    """Raise if the loss of a micro-batch is no finite number.

    Raises:
        NonFiniteLossError: with the first module whose output is not finite, and the examples.
    """
    if not bool(torch.isfinite(loss)):
        where = first_non_finite_module(trainee, batch)
        examples = ", ".join(batch.sample_ids[:5])
        raise NonFiniteLossError(f"the loss is not finite; first in {where}; the batch begins with {examples}")


@torch.no_grad()
def first_non_finite_module(trainee: Trainee, batch: Batch) -> str:
    """The first module, in order of execution, whose output holds a NaN or an infinity.

    Where weights are not finite themselves, an earlier step has broken them, and the first such is named.
    """
    for name, parameter in trainee.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            return f"weights '{name}', broken by an earlier step"
    found: list[str] = []

    def look(name: str) -> object:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if not found and any(not bool(torch.isfinite(t).all()) for t in _floats(output)):
                found.append(name)

        return hook

    handles = [module.register_forward_hook(look(name)) for name, module in trainee.named_modules() if name]
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
