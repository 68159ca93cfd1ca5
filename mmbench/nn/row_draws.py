"""Random numbers that belong to a row, whatever micro-batch or process the row falls to."""

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131
"""2**64 divided by the golden ratio, as a signed number: successive multiples of it are far apart."""
_MIXING = ((30, -4658895280553007687), (27, -7723592293110705685))
"""Shifts and factors of SplitMix64 (Steele et al. 2014), the factors as signed numbers."""


class RowDraws:
    """A stream of uniform numbers for each of B rows: a function of the row's text and a seed alone.

    So what is masked in one step of 8 rows is the same in two of 4, and on two processes as on one.

    Args:
        token_ids: int64 ``[B, L]``, the rows' texts; equal texts draw equal numbers.
        mask: bool ``[B, L]``, which of them are no padding.
        seed: another one for each step.
    """

    def __init__(self, token_ids: Tensor, mask: Tensor, seed: int) -> None:
        places = torch.arange(1, token_ids.shape[1] + 1, device=token_ids.device)
        self._keys = _mixed((_mixed(token_ids + places * _GOLDEN) * mask).sum(dim=1) + seed)

    def uniform(self, num: int) -> Tensor:
        """float32 ``[B, num]`` in 0..1, without 1; each call gives others, and more of them begin with the same."""
        self._keys = self._keys + _GOLDEN
        keys = _mixed(self._keys)[:, None]
        places = torch.arange(1, num + 1, device=keys.device) * _GOLDEN
        # The 24 highest bits, which is what float32 can tell apart.
        return ((_mixed(keys + places) >> 40) & (2**24 - 1)).float() / 2**24


def _mixed(x: Tensor) -> Tensor:
    """SplitMix64's finaliser: int64 to int64, every bit of which depends on all of ``x``; products wrap around."""
    for shift, factor in _MIXING:
        x = (x ^ ((x >> shift) & (2 ** (64 - shift) - 1))) * factor
    return x ^ ((x >> 31) & (2**33 - 1))
