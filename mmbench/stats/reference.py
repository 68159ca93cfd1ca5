"""What a studentised mean is held against: Satterthwaite's t, bounded in the tails by the fiducial distribution."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

_BEND = 9.0  # p is not below f / (1 + 9 f), with f the fiducial p: half of it at 0.1, all of it near 0
_NODES = 48
_FARTHEST = 1e12


def degrees_of_freedom(seed_share: float, num_seeds: int, cluster_dof: float) -> float:
    """Satterthwaite's (1946), when the seeds make ``seed_share`` of the variance of the mean."""
    return 1 / (seed_share**2 / (num_seeds - 1) + (1 - seed_share) ** 2 / cluster_dof)


def two_sided_p(distance: float, seed_share: float, num_seeds: int, cluster_dof: float) -> float:
    """The p of a mean that lies ``distance`` standard errors from where it is said to be.

    Satterthwaite's t distribution takes the seeds' share in the variance as known. With few seeds it is little more
    than a guess, and where it comes out low by chance, the t is too large and its degrees of freedom too many: false
    alarms are up to twice as many as they should be at a level of 0.05, and up to ten times at the levels that a
    correction for many pairs works with. The fiducial p (Behrens 1929, Fisher 1935; Weerahandi 1993) leaves open what
    the two variances are; it never raises too many, and at 0.05 it is timid. So the p is Satterthwaite's, but no
    less than the fiducial one bent by ``f / (1 + 9 f)``. The bend was set by simulation, see docs/statistics.md.
    """
    by_t = float(2 * special.stdtr(degrees_of_freedom(seed_share, num_seeds, cluster_dof), -distance))
    fiducial = _fiducial_p(distance, seed_share, num_seeds, cluster_dof)
    return max(by_t, fiducial / (1 + _BEND * fiducial))


def critical_distance(alpha: float, seed_share: float, num_seeds: int, cluster_dof: float) -> float:
    """The distance, in standard errors, whose `two_sided_p` is ``alpha``."""
    by_t = t_quantile(1 - alpha / 2, degrees_of_freedom(seed_share, num_seeds, cluster_dof))
    unbent = alpha / (1 - _BEND * alpha) if _BEND * alpha < 1 else 1.0
    if unbent >= 1 or _fiducial_p(by_t, seed_share, num_seeds, cluster_dof) <= unbent:
        return by_t

    def beyond(log_distance: float) -> float:
        return _fiducial_p(np.exp(log_distance), seed_share, num_seeds, cluster_dof) - unbent

    return float(np.exp(optimize.brentq(beyond, np.log(by_t), np.log(_FARTHEST), xtol=1e-10)))


def t_quantile(probability: float, dof: float) -> float:
    """Student's t; SciPy's plain function, which takes a hundredth of the time of its distribution object."""
    return float(special.stdtrit(dof, probability))


def _fiducial_p(distance: float, seed_share: float, num_seeds: int, cluster_dof: float) -> float:
    """The mean of the p over what the seeds' variance may be, given the one that was seen; the clusters' is a t."""
    ratio, weight = _variance_ratios(num_seeds - 1)
    spread = np.sqrt(seed_share * ratio + 1 - seed_share)
    return float(weight @ (2 * special.stdtr(cluster_dof, -distance / spread)))


@cache
def _variance_ratios(dof: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """True variance over the seen one, and weights, for integrals over the chi-squared distribution of the latter.

    Gauss-Legendre in the fourth root of the probability: the small probabilities, where the true variance is far
    above the seen one, are what the tails come from.
    """
    place, weight = np.polynomial.legendre.leggauss(_NODES)
    root = (place + 1) / 2
    return dof / stats.chi2.ppf(root**4, dof), weight * 2 * root**3
