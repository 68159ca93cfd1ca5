"""The mean of a seeds x images table with both as random effects: its variance, degrees of freedom and interval."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mmbench.stats.reference import critical_distance, degrees_of_freedom, t_quantile, two_sided_p

MAX_SEEDS = 1000
"""No plan for more seeds than this is offered."""


@dataclass(frozen=True)
class TwoWayMean:
    """A mean over S seeds and the examples of C clusters (images), with its uncertainty.

    The model is ``d[s, e] = mean + a[s] + b[c(e)] + noise``. In the balanced case the variance of the mean is that of
    the two-way analysis of variance, ``(MS_seed + MS_cluster - MS_residual) / (S C)``, never below the larger of the
    two one-way parts, so that a negative component by chance does not make the interval too short.

    Its p values and intervals are those of :mod:`mmbench.stats.reference`, which hold their level with few seeds.
    """

    mean: float
    """The mean over all examples and seeds."""
    variance: float
    """Of the mean; NaN with a single cluster."""
    dof: float
    """Satterthwaite's degrees of freedom; NaN with a single cluster."""
    num_seeds: int
    """S; with 1 the interval covers the choice of images only."""
    num_clusters: int
    """C."""
    seed_variance: float
    """The part of the variance that more seeds make smaller, times S; NaN with one seed."""
    cluster_variance: float
    """The part that only more images make smaller."""
    cluster_dof: float
    """Degrees of freedom of the clusters alone; C - 1 where they are of one size."""

    @property
    def standard_error(self) -> float:
        """Square root of the variance of the mean."""
        return float(np.sqrt(self.variance))

    def half_width(self, alpha: float) -> float:
        """Half of the (1 - alpha) interval."""
        return self._critical(alpha) * self.standard_error

    def p_value(self) -> float:
        """Two-sided p of "the mean is 0"; 1 where the table is 0 throughout, NaN with a single cluster."""
        return float(np.minimum(2 * np.minimum(self.p_above(0.0), self.p_below(0.0)), 1.0))

    def p_above(self, bound: float) -> float:
        """One-sided p of "the mean is at most ``bound``": small where it is clearly above."""
        return self._one_sided(self.mean - bound)

    def p_below(self, bound: float) -> float:
        """One-sided p of "the mean is at least ``bound``": small where it is clearly below."""
        return self._one_sided(bound - self.mean)

    def detectable(self, alpha: float, power: float) -> float:
        """The smallest true mean that this much data finds at level ``alpha`` with probability ``power``."""
        return (self._critical(alpha) + t_quantile(power, self.dof)) * self.standard_error

    def seeds_needed(self, alpha: float, power: float) -> float:
        """Seeds, in all, with which a true mean as large as the seen one would be found.

        NaN where no number of seeds up to ``MAX_SEEDS`` does it (the images are too few), or with one seed, which
        says nothing of the spread over seeds.
        """
        if self.num_seeds < 2 or self.num_clusters < 2 or self.mean == 0:
            return float("nan")

        def found(num_seeds: int) -> bool:
            from_seeds = self.seed_variance / num_seeds
            variance = from_seeds + self.cluster_variance
            if variance == 0:
                return True
            known = from_seeds / variance, num_seeds, self.cluster_dof
            distance = abs(self.mean) / np.sqrt(variance) - t_quantile(power, degrees_of_freedom(*known))
            return bool(distance > 0 and two_sided_p(distance, *known) <= alpha)

        fewest = bisect_left(range(MAX_SEEDS + 1), True, lo=2, key=found)
        return float(fewest) if fewest <= MAX_SEEDS else float("nan")

    def _one_sided(self, above: float) -> float:
        if np.isnan(self.variance):
            return float("nan")
        if self.variance == 0:
            return 0.0 if above > 0 else 1.0
        distance = abs(above) / self.standard_error
        if self.num_seeds > 1:
            beyond = two_sided_p(distance, self._seed_share, self.num_seeds, self.cluster_dof) / 2
        else:
            beyond = float(special.stdtr(self.dof, -distance))
        return beyond if above > 0 else 1 - beyond

    def _critical(self, alpha: float) -> float:
        if np.isnan(self.dof):
            return float("nan")
        if self.num_seeds > 1:
            return critical_distance(alpha, self._seed_share, self.num_seeds, self.cluster_dof)
        return t_quantile(1 - alpha / 2, self.dof)

    @property
    def _seed_share(self) -> float:
        """The seeds' part of the variance."""
        return min(self.seed_variance / self.num_seeds / self.variance, 1.0) if self.variance > 0 else 1.0


def two_way_mean(table: NDArray[np.float64], cluster_sizes: NDArray[np.float64]) -> TwoWayMean:
    """The mean of ``table [S, C]``, whose entries are means over ``cluster_sizes [C]`` examples of one cluster.

    The mean is over *examples*, as the metric defines it, so that a cluster's share ``h`` in it is its share of the
    examples. Deviations from a mean that a large cluster pulls towards itself are too small: they are made larger by
    what makes them unbiased (MacKinnon and White 1985; Bell and McCaffrey 2002), and the degrees of freedom are those
    of the resulting sum of unequal parts. With clusters of one size all this is the plain analysis of variance.
    """
    num_seeds, num_clusters = table.shape
    share = cluster_sizes / cluster_sizes.sum()
    seed_means = table @ share
    mean = float(seed_means.mean())
    nan = float("nan")
    if num_clusters < 2:
        return TwoWayMean(mean, nan, nan, num_seeds, num_clusters, nan, nan, nan)
    weight = _weights(share)
    cluster_dof = _cluster_dof(share, weight)
    cluster_means = table.mean(axis=0)
    from_clusters = float(weight @ (cluster_means - mean) ** 2)
    # Rounding leaves some 1e-34 where all differences are the same number: that is no spread.
    nothing = 1e-24 * max(1.0, float((table**2).max()))
    if num_seeds < 2:
        variance = from_clusters if from_clusters > nothing else 0.0
        return TwoWayMean(mean, variance, cluster_dof, 1, num_clusters, nan, variance, cluster_dof)
    from_seeds = float(((seed_means - mean) ** 2).sum()) / (num_seeds * (num_seeds - 1))
    rest = table - seed_means[:, None] - cluster_means + mean
    from_rest = float((rest**2 @ weight).sum()) / (num_seeds * (num_seeds - 1))
    variance = max(from_seeds + from_clusters - from_rest, from_seeds, from_clusters)
    if variance <= nothing:
        variance = 0.0
    seed_share = min(from_seeds / variance, 1.0) if variance > 0 else 1.0
    return TwoWayMean(
        mean=mean,
        variance=variance,
        dof=degrees_of_freedom(seed_share, num_seeds, cluster_dof),
        num_seeds=num_seeds,
        num_clusters=num_clusters,
        seed_variance=num_seeds * from_seeds,
        cluster_variance=max(from_clusters - from_rest, 0.0),
        cluster_dof=cluster_dof,
    )


def _weights(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """[C] factors of the squared deviations of the clusters' means, whose sum is the variance of the mean.

    The deviation of a cluster with the share h is too small by ``1 - h`` where the examples vary independently, by
    ``1 - 2 h + sum(h^2)`` where the clusters' means vary alike; the smaller of the two makes the longer interval.
    """
    alike = 1 - 2 * share + (share**2).sum()
    weight: NDArray[np.float64] = share**2 / np.minimum(1 - share, alike)
    return weight


def _cluster_dof(share: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Satterthwaite's degrees of freedom of ``sum(weight (d - mean)^2)`` where the clusters' means vary alike.

    They are tr(A)^2 / tr(A^2) of the quadratic form's matrix ``A = D - w h' - h w' + sum(w) h h'``, with D the
    diagonal of w; the traces are written out, so that the matrix is never made.
    """
    total, squares, crossed = weight.sum(), (share**2).sum(), weight @ share
    trace = total - 2 * crossed + total * squares
    of_square = (
        (weight**2).sum()
        + 2 * ((weight**2).sum() * squares + crossed**2)
        + (total * squares) ** 2
        - 4 * weight**2 @ share
        + 2 * total * (weight @ share**2)
        - 4 * total * crossed * squares
    )
    return float(trace**2 / of_square)
