"""Quality against cost: which systems no other one beats in both, and how sure that is."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmbench.stats.compare import compare_systems, summarise_systems
from mmbench.stats.cube import ScoreCube
from mmbench.stats.pairing import DETERMINISTIC, pairs_of

_NUM_DRAWS = 10_000


def pareto_front(
    scores: pd.DataFrame,
    costs: Mapping[str, float],
    metric: str,
    alpha: float = 0.05,
    higher_is_better: bool = True,
    deterministic: Collection[str] = DETERMINISTIC,
) -> pd.DataFrame:
    """The systems on one metric and one cost, cheapest first, one row a system.

    A system is dominated by another that costs no more and scores no worse, and does better in one of the two.

    Args:
        scores: as for :func:`~mmbench.stats.compare_systems`.
        costs: of each system (latency, FLOPs, parameters, …), lower being better; systems without one are left out.
        metric: the metric.
        alpha: level of the intervals and of ``surely_dominated_by``.
        higher_is_better: whether that is so for the metric.
        deterministic: as for `compare_systems`.

    Returns:
        system, cost, mean, ci_low, ci_high, on_front and dominated_by (names; both as the means stand),
        surely_dominated_by (those of them whose score is distinguishable, Holm over the pairs), front_probability:
        how often the system is on the front when the means are drawn anew from what seeds and images leave open. The
        draws are of a multivariate t whose covariance gives every paired difference its variance, with the fewest
        degrees of freedom of any pair; costs are taken as known. NaN where a variance is not known.

    Raises:
        ValueError: no system has both a score and a cost; a cost that is not a number; as `compare_systems`.
    """
    chosen = scores[scores["system"].isin(list(costs)) & (scores["metric"] == metric) & scores["score"].notna()]
    if chosen.empty:
        raise ValueError(f"no system has both a score of '{metric}' and a cost; costs are of: {', '.join(costs)}")
    table = summarise_systems(chosen, metric, alpha)
    table["cost"] = [float(costs[name]) for name in table["system"]]
    if table["cost"].isna().any():
        raise ValueError(f"the cost of {', '.join(table['system'][table['cost'].isna()])} is not a number")
    table = table.sort_values("cost", kind="stable").reset_index(drop=True)
    names: list[str]
    names, cost = table["system"].tolist(), table["cost"].to_numpy()
    quality = table["mean"].to_numpy() if higher_is_better else -table["mean"].to_numpy()
    beaten = _dominated(quality, cost)
    dominated_by: list[list[str]] = [[names[j] for j in np.flatnonzero(row)] for row in beaten]
    told_apart = _told_apart(compare_systems(chosen, metric, alpha, deterministic))
    draws = _draws(ScoreCube.of(chosen, metric), names, quality, deterministic)
    probability = ~_dominated(draws, cost).any(axis=-1)
    front = table[["system", "cost", "mean", "ci_low", "ci_high"]].copy()
    front["on_front"] = [not by for by in dominated_by]
    front["dominated_by"] = dominated_by
    front["surely_dominated_by"] = [
        [other for other in by if frozenset((name, other)) in told_apart]
        for name, by in zip(names, dominated_by, strict=True)
    ]
    front["front_probability"] = np.nan if np.isnan(draws).any() else probability.mean(axis=0)
    return front


def _dominated(quality: NDArray[np.float64], cost: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[..., K, K] whether the system of the row is dominated by that of the column; quality is ``[..., K]``."""
    own, other = quality[..., :, None], quality[..., None, :]
    no_worse = (other >= own) & (cost[None, :] <= cost[:, None])
    better = (other > own) | (cost[None, :] < cost[:, None])
    result: NDArray[np.bool_] = no_worse & better
    return result


def _told_apart(pairs: pd.DataFrame) -> set[frozenset[str]]:
    found = pairs[pairs["distinguishable"]]
    return {frozenset(pair) for pair in zip(found["system_a"], found["system_b"], strict=True)}


def _draws(
    cube: ScoreCube, names: list[str], quality: NDArray[np.float64], deterministic: Collection[str]
) -> NDArray[np.float64]:
    """[draws, K] means as they might be; relative to the first system, since only differences decide a front."""
    place = {name: index for index, name in enumerate(names)}
    variance = np.zeros((len(names), len(names)))
    dof = np.inf
    for pair in pairs_of(cube, deterministic):
        estimate = pair.estimate()
        found = np.nan if estimate is None else estimate.variance
        i, j = place[pair.system_a], place[pair.system_b]
        variance[i, j] = variance[j, i] = found
        dof = np.nan if estimate is None else min(dof, estimate.dof)
    if np.isnan(variance).any():
        return np.full((1, len(names)), np.nan)
    # Var(a - b) for all pairs gives the covariance of the differences to the first system.
    covariance = (variance[:, :1] + variance[:1, :] - variance) / 2
    values, vectors = np.linalg.eigh(covariance)
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(_NUM_DRAWS, len(names))) * np.sqrt(np.maximum(values, 0)) @ vectors.T
    scale = np.sqrt(dof / rng.chisquare(dof, (_NUM_DRAWS, 1))) if np.isfinite(dof) else 1.0
    result: NDArray[np.float64] = quality + normal * scale
    return result
