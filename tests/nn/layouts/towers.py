"""Weights of small random vision towers, moved from Hugging Face's to ours and back."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mmbench.nn.tensor_names import Joined, to_ours, to_theirs


def scrambled(module: nn.Module, seed: int = 0) -> Any:
    """The module with weights so large and different that no part of it, and no order of its dimensions, is without
    effect: as they start, gates are 0, norms 1, and attention the same everywhere."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(noise * 1.5 / parameter[0].numel() ** 0.5)
            else:
                parameter.copy_(noise * 0.3 + (parameter.mean() > 0.5))
    return module.eval()


def check_both_ways(
    ours: nn.Module,
    theirs: nn.Module,
    names: Iterable[Joined],
    outputs: Callable[[Any], list[Tensor]],
    expected: Callable[[Any], list[Tensor]],
    not_ours: str = "nothing",
) -> None:
    """Their weights in ours, then other weights of ours in theirs: both times the same outputs.

    Args:
        ours: with other weights than theirs.
        theirs: scrambled.
        names: the table; all tensors of both have to be in it.
        outputs: of ours.
        expected: of theirs.
        not_ours: what the names of those of their tensors begin with that ours does not have.
    """
    table = list(names)
    tensors = dict(theirs.state_dict())
    ours.load_state_dict(to_ours(tensors, table))
    assert all(name.startswith(not_ours) for name in tensors)
    _check(outputs(ours), expected(theirs))
    before = expected(theirs)
    rest = {name: tensor for name, tensor in theirs.state_dict().items() if name.startswith(not_ours)}
    theirs.load_state_dict({**to_theirs(scrambled(ours, seed=1).state_dict(), table), **rest})
    after = expected(theirs)
    _check(outputs(ours), after)
    assert not torch.allclose(before[-1], after[-1], atol=1e-2)


def _check(outputs: list[Tensor], expected: list[Tensor]) -> None:
    assert len(outputs) == len(expected) > 0
    for output, reference in zip(outputs, expected, strict=True):
        torch.testing.assert_close(output, reference, atol=1e-4, rtol=1e-4)
