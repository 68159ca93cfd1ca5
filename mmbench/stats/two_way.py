"""The mean of a seeds x images table with both as random effects: its variance, degrees of freedom and interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MAX_SEEDS = 1000
"""No plan for more seeds than this is offered."""


@dataclass(frozen=True)
class TwoWayMean:
    """A mean over S seeds and the examples of C clusters (images), with its uncertainty.

    The model is ``d[s, e] = mean + a[s] + b[c(e)] + noise``. In the balanced case the variance of the mean is that of
    the two-way analysis of variance, ``(MS_seed + MS_cluster - MS_residual) / (S C)``, never below the larger of the
    two one-way parts, so that a negative component by chance does not make the interval too short.

    Its degrees of freedom are where the plain recipe fails. Satterthwaite's (1946) formula weighs the seeds' ``1 /
    (S - 1)`` by the square of their share in the variance; with 2 or 3 seeds that share is itself little more than a
    guess, its plug-in value is too often too low, and false alarms are too many (docs/statistics.md has the figures).
    Here the share is raised to a lower power, ``2 - 1.2 (S - 1)^(-1.6)``: 0.8 with 2 seeds, 1.6 with 3, and
    Satterthwaite's 2 with many. The constants were set by simulation, so that the level holds with few seeds and the
    power is that of the noncentral t with the true components.
    """

    mean: float
    """The mean over all examples and seeds."""
    variance: float
    """Of the mean; NaN with a single cluster."""
    dof: float
    """Degrees of freedom of the t distribution; NaN with a single cluster."""
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
        return float(stats.t.ppf(1 - alpha / 2, self.dof) * self.standard_error)

    def p_value(self) -> float:
        """Two-sided p of "the mean is 0"; 1 where the table is 0 throughout, NaN with a single cluster."""
        return float(np.minimum(2 * np.minimum(self.p_above(0.0), self.p_below(0.0)), 1.0))

    def p_above(self, bound: float) -> float:
        """One-sided p of "the mean is at most ``bound``": small where it is clearly above."""
        if np.isnan(self.variance):
            return float("nan")
        if self.variance == 0:
            return 0.0 if self.mean > bound else 1.0
        return float(stats.t.sf((self.mean - bound) / self.standard_error, self.dof))

    def p_below(self, bound: float) -> float:
        """One-sided p of "the mean is at least ``bound``": small where it is clearly below."""
        if np.isnan(self.variance):
            return float("nan")
        if self.variance == 0:
            return 0.0 if self.mean < bound else 1.0
        return float(stats.t.cdf((self.mean - bound) / self.standard_error, self.dof))

    def detectable(self, alpha: float, power: float) -> float:
        """The smallest true mean that this much data finds at level ``alpha`` with probability ``power``."""
        return float((stats.t.ppf(1 - alpha / 2, self.dof) + stats.t.ppf(power, self.dof)) * self.standard_error)

    def seeds_needed(self, alpha: float, power: float) -> float:
        """Seeds, in all, with which a true mean as large as the seen one would be found.

        NaN where no number of seeds up to ``MAX_SEEDS`` does it (the images are too few), or with one seed, which
        says nothing of the spread over seeds.
        """
        if self.num_seeds < 2 or self.num_clusters < 2 or self.mean == 0:
            return float("nan")
        seeds = np.arange(2, MAX_SEEDS + 1)
        from_seeds = self.seed_variance / seeds
        variance = np.maximum(from_seeds + self.cluster_variance, 1e-300)
        dof = _dof(from_seeds / variance, seeds, self.cluster_dof)
        found = (stats.t.ppf(1 - alpha / 2, dof) + stats.t.ppf(power, dof)) * np.sqrt(variance) <= abs(self.mean)
        return float(seeds[np.argmax(found)]) if found.any() else float("nan")


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
    seed_share = np.asarray(from_seeds / variance if variance > 0 else 1.0)
    return TwoWayMean(
        mean=mean,
        variance=variance,
        dof=float(_dof(seed_share, np.asarray(num_seeds), cluster_dof)),
        num_seeds=num_seeds,
        num_clusters=num_clusters,
        seed_variance=num_seeds * from_seeds,
        cluster_variance=max(from_clusters - from_rest, 0.0),
        cluster_dof=cluster_dof,
    )


def _dof(seed_share: NDArray[np.float64], num_seeds: NDArray[np.int64], cluster_dof: float) -> NDArray[np.float64]:
    """Degrees of freedom when the seeds make ``seed_share`` of the variance."""
    exponent = 2 - 1.2 * (num_seeds - 1.0) ** -1.6
    result: NDArray[np.float64] = 1 / (seed_share**exponent / (num_seeds - 1) + (1 - seed_share) ** 2 / cluster_dof)
    return result


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
