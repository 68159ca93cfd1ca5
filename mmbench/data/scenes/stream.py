"""Random integers that are the same on any machine and with any NumPy version."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

PURPOSES: Final = ("layout", "looks", "captions", "questions", "noise")
LATER_PURPOSES: Final = ("aspects", "sides", "choices")
"""Their keys lie apart: one more among ``PURPOSES`` would move the draws of all splits but the first."""
_LATER = 1 << 62


class Stream:
    """Integers from the raw bits of Philox (Salmon et al. 2011), one independent stream a (seed, split, purpose).

    NumPy keeps the raw bits of its generators stable for ever but not the distributions drawn from them, so the
    mapping to a range is our own.
    """

    def __init__(self, seed: int, split: int, purpose: str) -> None:
        """``seed`` may be any integer; ``split`` is a number from 0."""
        if purpose in PURPOSES:
            number = split * len(PURPOSES) + PURPOSES.index(purpose)
        else:
            number = _LATER + (LATER_PURPOSES.index(purpose) << 32) + split
        self._bits = np.random.Philox(key=np.array([seed % 2**64, number], dtype=np.uint64))

    def below(self, limit: int, shape: int | Sequence[int]) -> NDArray[np.int64]:
        """Uniform integers in ``0 .. limit - 1``; ``limit`` is at most 2**31 (the bias is below 2**-32)."""
        words = self.words(shape) >> np.uint64(32)
        return ((words * np.uint64(limit)) >> np.uint64(32)).astype(np.int64)

    def words(self, shape: int | Sequence[int]) -> NDArray[np.uint64]:
        """Raw 64-bit words."""
        return np.asarray(self._bits.random_raw(int(np.prod(shape))), dtype=np.uint64).reshape(shape)
