"""The mean of a seeds x images table with both as random effects: its variance, degrees of freedom and interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MAX_SEEDS = 1000
"""No plan for more seeds than this is offered."""


@dataclass(frozen=True)
class TwoWayMean:
    """A mean with its uncertainty.

    The model is ``d[s, c] = mean + a[s] + b[c] + noise`` over S seeds and C clusters (images). The variance of the
    mean is ``(MS_seed + MS_cluster - MS_residual) / (S C)``, never below the larger of the two one-way parts, so that
    a negative component by chance does not make the interval too short.

    The degrees of freedom weigh those of the two parts by the share of the variance each makes. Satterthwaite's
    (1946) formula weighs by the *squared* share; with 2 or 3 seeds, where the shares are themselves guesses, its
    plug-in value is too large and the test raises false alarms in up to 11% (7.5%) of cases at a nominal 5%. With one
    part alone both formulas agree.
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
    components: tuple[float, float, float]
    """Variance components of seed, cluster and residual, clipped at 0; the first is NaN with one seed."""

    @property
    def standard_error(self) -> float:
        """Square root of the variance of the mean."""
        return float(np.sqrt(self.variance))

    def half_width(self, alpha: float) -> float:
        """Half of the (1 - alpha) interval."""
        return float(stats.t.ppf(1 - alpha / 2, self.dof) * self.standard_error)

    def p_value(self) -> float:
        """Two-sided p of "the mean is 0"; 1 where the table is 0 throughout, NaN with a single cluster."""
        if np.isnan(self.variance):
            return float("nan")
        if self.variance == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.mean) / self.standard_error, self.dof))

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
        seed, cluster, residual = self.components
        seeds = np.arange(2, MAX_SEEDS + 1)
        from_seeds = (seed + residual / self.num_clusters) / seeds
        variance = np.maximum(from_seeds + cluster / self.num_clusters, 1e-300)
        dof = _dof(np.minimum(from_seeds / variance, 1.0), seeds, self.num_clusters)
        found = (stats.t.ppf(1 - alpha / 2, dof) + stats.t.ppf(power, dof)) * np.sqrt(variance) <= abs(self.mean)
        return float(seeds[np.argmax(found)]) if found.any() else float("nan")


def two_way_mean(table: NDArray[np.float64], cluster_sizes: NDArray[np.float64]) -> TwoWayMean:
    """The mean of ``table [S, C]``, whose entries are means over ``cluster_sizes [C]`` examples of one cluster.

    The mean is over *examples*, as the metric defines it, so clusters of unequal size weigh unequally; what varies
    from image to image is then the cluster's share in that mean (the linearised ratio ``mean + w (d - mean)`` with
    ``w`` the size over the mean size). With equal sizes this is the plain two-way analysis of variance.
    """
    num_seeds, num_clusters = table.shape
    weights = cluster_sizes / cluster_sizes.mean()
    mean = float((table * weights).mean())
    parts = mean + weights * (table - mean)
    seed_means, cluster_means = parts.mean(axis=1), parts.mean(axis=0)
    if num_clusters < 2:
        nan = float("nan")
        return TwoWayMean(mean, nan, nan, num_seeds, num_clusters, (nan, nan, nan))
    ms_cluster = num_seeds * float(((cluster_means - mean) ** 2).sum()) / (num_clusters - 1)
    if num_seeds < 2:
        components = (float("nan"), ms_cluster, 0.0)
        return TwoWayMean(mean, ms_cluster / num_clusters, num_clusters - 1.0, 1, num_clusters, components)
    ms_seed = num_clusters * float(((seed_means - mean) ** 2).sum()) / (num_seeds - 1)
    rest = parts - seed_means[:, None] - cluster_means[None, :] + mean
    ms_rest = float((rest**2).sum()) / ((num_seeds - 1) * (num_clusters - 1))
    total = max(ms_seed + ms_cluster - ms_rest, ms_seed, ms_cluster)
    # Rounding leaves some 1e-34 where all differences are the same number: that is no spread.
    if total <= 1e-24 * max(1.0, float((table**2).max())) * num_seeds * num_clusters:
        total = 0.0
    share = np.asarray(ms_seed / total if total > 0 else 1.0)
    components = (
        max((ms_seed - ms_rest) / num_clusters, 0.0),
        max((ms_cluster - ms_rest) / num_seeds, 0.0),
        ms_rest,
    )
    dof = float(_dof(np.minimum(share, 1.0), np.asarray(num_seeds), num_clusters))
    return TwoWayMean(mean, total / (num_seeds * num_clusters), dof, num_seeds, num_clusters, components)


def _dof(seed_share: NDArray[np.float64], num_seeds: NDArray[np.int64], num_clusters: int) -> NDArray[np.float64]:
    """Degrees of freedom when the seeds make ``seed_share`` of the variance."""
    result: NDArray[np.float64] = 1 / (seed_share / (num_seeds - 1) + (1 - seed_share) / (num_clusters - 1))
    return result
