"""Several questions at once: Holm's procedure, and the level it leaves each of them."""

import numpy as np
from numpy.typing import NDArray


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's (1979) step-down adjustment of p values ``[P]``; NaN stay NaN and are not counted."""
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


def levels_left(p: NDArray[np.float64], rejected: NDArray[np.bool_], alpha: float) -> NDArray[np.float64]:
    """The level at which Holm's procedure tested each question, or would have had to, for it to be found.

    The one of rank r among m is tested at alpha / (m - r); after the first that fails, all others must pass the level
    of that one.
    """
    levels = np.full(len(p), alpha)
    known = ~np.isnan(p)
    total = int(known.sum())
    order = np.flatnonzero(known)[np.argsort(p[known], kind="stable")]
    num_rejected = int(rejected.sum())
    for rank, index in enumerate(order):
        levels[index] = alpha / (total - min(rank, num_rejected))
    return levels
