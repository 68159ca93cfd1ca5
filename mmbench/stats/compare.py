"""Tables of per-example scores in, tables of means and of pairwise differences out."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from mmbench.stats.cube import ScoreCube
from mmbench.stats.multiple import holm, levels_left
from mmbench.stats.pairing import DETERMINISTIC, mean_over, pairs_of
from mmbench.stats.two_way import TwoWayMean

POWER = 0.8
"""The probability of being found that ``smallest_detectable`` and ``seeds_needed`` speak of."""


def compare_systems(
    scores: pd.DataFrame,
    metric: str,
    alpha: float = 0.05,
    deterministic: Collection[str] = DETERMINISTIC,
) -> pd.DataFrame:
    """Every pair of systems on one metric, one row a pair.

    ``scores`` has the columns system, seed, metric, example_id, cluster_id, score. A pair is compared on the seeds
    and examples that both have: difference = mean score of ``system_a`` minus that of ``system_b``. A system named in
    ``deterministic`` with a single seed is the same whatever the seed, and is set against every seed of the other.

    Columns: system_a, system_b, difference, ci_low, ci_high (the unadjusted 1 - alpha interval), p, p_holm (adjusted
    over all pairs of the metric), effect (difference over the pooled seed-to-seed standard deviation of the two
    systems; NaN with one seed), dof, distinguishable (p_holm < alpha), smallest_detectable (the true difference found
    with probability 0.8 at the level that Holm's procedure leaves this pair), seeds_needed (seeds in all with which
    the difference seen would be found with that probability; NaN where seeds alone would not do), n_seeds, n_examples,
    n_clusters, covers ("seeds and examples", or "examples only" with one seed).

    A pair without a common seed and example, or with one image only, has NaN where nothing can be said.

    Raises:
        ValueError: as `ScoreCube.of`, or an alpha outside (0, 1).
    """
    check_alpha(alpha)
    rows = []
    means: list[TwoWayMean | None] = []
    for pair in pairs_of(ScoreCube.of(scores, metric), deterministic):
        row: dict[str, object] = {"system_a": pair.system_a, "system_b": pair.system_b}
        estimate = pair.estimate()
        means.append(estimate)
        if estimate is None:
            rows.append(row | {"n_seeds": 0, "n_examples": 0, "n_clusters": 0, "covers": "nothing"})
        else:
            rows.append(row | describe(estimate, alpha) | {"effect": pair.effect(), "n_examples": pair.a.shape[1]})
    table = pd.DataFrame(rows, columns=_PAIR_COLUMNS)
    p = table["p"].to_numpy(dtype=float)
    table["p_holm"] = holm(p)
    table["distinguishable"] = table["p_holm"] < alpha
    levels = levels_left(p, table["distinguishable"].to_numpy(dtype=bool), alpha)
    nan = float("nan")
    known = list(zip(means, levels, strict=True))
    table["smallest_detectable"] = [mean.detectable(level, POWER) if mean else nan for mean, level in known]
    table["seeds_needed"] = [mean.seeds_needed(level, POWER) if mean else nan for mean, level in known]
    return table


def summarise_systems(scores: pd.DataFrame, metric: str | None = None, alpha: float = 0.05) -> pd.DataFrame:
    """Every system on one metric, or on all that ``scores`` holds: one row a (metric, system).

    Columns: system, metric, mean, ci_low, ci_high (1 - alpha), sd (of the seeds' means; NaN with one seed), n_seeds,
    n_examples, n_clusters, dof, covers (as in :func:`compare_systems`). The interval is that of a mean over new
    seeds and new images; where two systems saw the same images their *difference* is known better than the two
    intervals suggest. Seeds that miss examples which others have are compared on the common ones. A NaN is no score; a
    system that has nothing else has no row.

    Raises:
        ValueError: as `compare_systems`.
    """
    check_alpha(alpha)
    names = [metric] if metric is not None else list(dict.fromkeys(scores["metric"]))
    rows = []
    for name in names:
        cube = ScoreCube.of(scores, name)
        for system in cube.systems:
            table = cube.of_system(system)
            table = table[~np.isnan(table).all(axis=1)]
            whole = ~np.isnan(table).any(axis=0)
            if not len(table) or not whole.any():
                continue
            table = table[:, whole]
            estimate = mean_over(table, cube.cluster[whole])
            described = describe(estimate, alpha)
            spread = float(table.mean(axis=1).std(ddof=1)) if len(table) > 1 else float("nan")
            rows.append(
                {"system": system, "metric": name, "mean": estimate.mean, "sd": spread, "n_examples": table.shape[1]}
                | {key: described[key] for key in ("ci_low", "ci_high", "n_seeds", "n_clusters", "dof", "covers")}
            )
    return pd.DataFrame(rows, columns=_SUMMARY_COLUMNS)


def describe(estimate: TwoWayMean, alpha: float) -> dict[str, object]:
    """The columns that say what an estimate is and how sure."""
    half = estimate.half_width(alpha)
    return {
        "difference": estimate.mean,
        "ci_low": estimate.mean - half,
        "ci_high": estimate.mean + half,
        "p": estimate.p_value(),
        "dof": estimate.dof,
        "n_seeds": estimate.num_seeds,
        "n_clusters": estimate.num_clusters,
        "covers": covers(estimate),
    }


def covers(estimate: TwoWayMean) -> str:
    """What an interval is about."""
    return "seeds and examples" if estimate.num_seeds > 1 else "examples only"


def check_alpha(alpha: float) -> None:
    """Raises ValueError unless ``alpha`` lies between 0 and 1."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1, as 0.05 does")


_PAIR_COLUMNS = [
    *("system_a", "system_b", "difference", "ci_low", "ci_high", "p", "p_holm", "effect", "dof", "distinguishable"),
    *("smallest_detectable", "seeds_needed", "n_seeds", "n_examples", "n_clusters", "covers"),
]
_SUMMARY_COLUMNS = [
    *("system", "metric", "mean", "ci_low", "ci_high", "sd", "n_seeds", "n_examples", "n_clusters", "dof", "covers"),
]
