"""Adding seeds until a pair is decided, without more false alarms for looking often (Lan and DeMets 1983)."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mmbench.stats.compare import check_alpha

# The grid of a Brownian motion that ends with a standard deviation of 1; beyond 8 of them nothing happens.
_STEP = 0.004
_SUM = np.arange(-2000, 2001) * _STEP


def spent(fraction: float, alpha: float) -> float:
    """The part of ``alpha`` that may be spent by the time this fraction of the seeds is there.

    ``alpha ln(1 + (e - 1) t)``, of Pocock's kind: about equally ready to stop at every look.
    """
    return float(alpha * np.log(1 + (np.e - 1) * min(max(fraction, 0.0), 1.0)))


def look_levels(num_seeds: Sequence[int], max_seeds: int, alpha: float = 0.05) -> list[float]:
    """The two-sided level at which a pair is tested at each look.

    Each look's boundary is such that, where there is no difference, the chance of having crossed one by then is what
    may be spent; it is found by carrying the density of the sum from look to look (Armitage, McPherson and Rowe 1969).
    Looks are taken to be correlated as means over seeds are; the images that all looks share correlate them more,
    which makes the levels safe. They are for the p values of :func:`~mmbench.stats.compare_systems`, whose t
    distribution has its own degrees of freedom.

    Args:
        num_seeds: seeds at each look, rising.
        max_seeds: the seeds after which there is no further look.
        alpha: level over all looks together.

    Raises:
        ValueError: the seeds do not rise, or go beyond ``max_seeds``; an alpha outside (0, 1).
    """
    check_alpha(alpha)
    if not num_seeds or num_seeds[0] < 1 or any(a >= b for a, b in pairwise(num_seeds)):
        raise ValueError(f"the seeds at the looks must rise from 1 or more, not {list(num_seeds)}")
    if num_seeds[-1] > max_seeds:
        raise ValueError(f"a look at {num_seeds[-1]} seeds lies beyond the {max_seeds} that are allowed")
    levels: list[float] = []
    density: NDArray[np.float64] | None = None
    time_before = 0.0
    for seeds in num_seeds:
        time = seeds / max_seeds
        step = stats.norm.pdf(_SUM, scale=np.sqrt(time - time_before))
        density = step if density is None else np.convolve(density, step, mode="same") * _STEP
        bound = _bound(density, spent(time, alpha) - spent(time_before, alpha))
        levels.append(float(2 * stats.norm.sf(bound / np.sqrt(time))))
        density = np.where(np.abs(_SUM) < bound, density, 0.0)
        time_before = time
    return levels


def _bound(density: NDArray[np.float64], outside: float) -> float:
    """The distance from 0 beyond which ``density`` has the mass ``outside``, both sides together."""
    middle = len(_SUM) // 2
    mass = (density[middle:] + density[middle::-1]) * _STEP  # at distances 0, step, …; at 0 twice, which is far inside
    beyond = mass[::-1].cumsum()[::-1]
    return float(np.interp(outside, beyond[::-1], _SUM[middle:][::-1] - _STEP / 2))
