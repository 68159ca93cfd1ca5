"""What two systems have in common, and the mean of what they differ by."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mmbench.stats.cube import ScoreCube
from mmbench.stats.two_way import TwoWayMean, two_way_mean

DETERMINISTIC = ("majority",)
"""Systems that no seed changes: their one run stands beside every seed of the others."""


@dataclass(frozen=True)
class Pair:
    """Two systems on the seeds and examples that both have."""

    system_a: str
    system_b: str
    a: NDArray[np.float64]
    """[S, E] scores of the first."""
    b: NDArray[np.float64]
    """[S, E] scores of the second."""
    cluster: NDArray[np.int64]
    """[E] the examples' clusters."""

    def estimate(self) -> TwoWayMean | None:
        """The mean difference, a minus b; None without a common seed and example."""
        return mean_over(self.a - self.b, self.cluster) if self.a.size else None

    def effect(self) -> float:
        """The difference over the root of the mean of both systems' variances over seeds; NaN with one seed."""
        if len(self.a) < 2:
            return float("nan")
        pooled = float(np.sqrt(np.mean([scores.mean(axis=1).var(ddof=1) for scores in (self.a, self.b)])))
        return float(self.a.mean() - self.b.mean()) / pooled if pooled > 0 else float("nan")


def pairs_of(cube: ScoreCube, deterministic: Collection[str] = DETERMINISTIC) -> Iterator[Pair]:
    """Every pair of systems; one of ``deterministic`` with a single seed is set against every seed of the other."""
    for name_a, name_b in combinations(cube.systems, 2):
        a, b = _spread(cube, name_a, deterministic), _spread(cube, name_b, deterministic)
        seeds = _has_scores(a) & _has_scores(b)
        a, b = a[seeds], b[seeds]
        whole = ~(np.isnan(a) | np.isnan(b)).any(axis=0) if len(a) else np.zeros(a.shape[1], bool)
        yield Pair(name_a, name_b, a[:, whole], b[:, whole], cube.cluster[whole])


def mean_over(table: NDArray[np.float64], cluster: NDArray[np.int64]) -> TwoWayMean:
    """The mean of ``table [S, E]`` over seeds and examples, the examples of one cluster taken together."""
    names, codes = np.unique(cluster, return_inverse=True)
    sizes = np.bincount(codes, minlength=len(names)).astype(np.float64)
    if len(names) == table.shape[1]:
        sums = np.empty_like(table)
        sums[:, codes] = table
    else:
        sums = np.stack([np.bincount(codes, weights=row, minlength=len(names)) for row in table])
    return two_way_mean(sums / sizes, sizes)


def _spread(cube: ScoreCube, name: str, deterministic: Collection[str]) -> NDArray[np.float64]:
    """[S, E] the scores of a system, the only run of a fixed one repeated for every seed."""
    values = cube.of_system(name)
    held = np.flatnonzero(_has_scores(values))
    if name in deterministic and len(held) == 1:
        return np.repeat(values[held], len(values), axis=0)
    return values


def _has_scores(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[S] whether a seed has any score."""
    found: NDArray[np.bool_] = np.any(~np.isnan(values), axis=1)
    return found
