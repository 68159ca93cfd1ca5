"""Tables of per-example scores in, tables of means and of pairwise differences out."""

from collections.abc import Collection
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmbench.stats.two_way import TwoWayMean, two_way_mean

DETERMINISTIC = ("chance", "majority")
"""Systems that training seeds do not change: their one run stands beside every seed of the others."""

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
    """
    tables = _tables(scores, metric)
    rows = []
    means: list[TwoWayMean | None] = []
    for name_a, name_b in combinations(tables, 2):
        a, b = _common(tables[name_a], tables[name_b], name_a in deterministic, name_b in deterministic)
        row: dict[str, object] = {"system_a": name_a, "system_b": name_b}
        if a.size == 0:
            rows.append(row | {"n_seeds": 0, "n_examples": 0, "n_clusters": 0, "covers": "nothing"})
            means.append(None)
            continue
        estimate = _estimate(a - b)
        means.append(estimate)
        rows.append(row | _describe(estimate, alpha) | {"effect": _effect(a, b), "n_examples": a.shape[1]})
    table = pd.DataFrame(rows, columns=_PAIR_COLUMNS)
    table["p_holm"] = holm(table["p"].to_numpy(dtype=float))
    table["distinguishable"] = table["p_holm"] < alpha
    levels = _levels(table["p"].to_numpy(dtype=float), table["distinguishable"].to_numpy(dtype=bool), alpha)
    for column in ("smallest_detectable", "seeds_needed"):
        table[column] = np.nan
    for index, (known, level) in enumerate(zip(means, levels, strict=True)):
        if known is not None:
            table.loc[index, "smallest_detectable"] = known.detectable(level, POWER)
            table.loc[index, "seeds_needed"] = known.seeds_needed(level, POWER)
    return table


def summarise_systems(scores: pd.DataFrame, metric: str | None = None, alpha: float = 0.05) -> pd.DataFrame:
    """Every system on one metric, or on all that ``scores`` holds: one row a (metric, system).

    Columns: system, metric, mean, ci_low, ci_high (1 - alpha), sd (of the seeds' means; NaN with one seed), n_seeds,
    n_examples, n_clusters, dof, covers (as in :func:`compare_systems`). The interval is that of a mean over new
    seeds and new images; where two systems saw the same images their *difference* is known better than the two
    intervals suggest. Seeds that miss examples which others have are compared on the common ones.
    """
    names = [metric] if metric is not None else list(dict.fromkeys(scores["metric"]))
    rows = []
    for name in names:
        for system, table in _tables(scores, name).items():
            table = table.dropna(axis=1)
            if table.shape[1] == 0:
                continue
            estimate = _estimate(table)
            described = _describe(estimate, alpha)
            spread = float(table.mean(axis=1).std(ddof=1)) if len(table) > 1 else float("nan")
            rows.append(
                {"system": system, "metric": name, "mean": estimate.mean, "sd": spread, "n_examples": table.shape[1]}
                | {key: described[key] for key in ("ci_low", "ci_high", "n_seeds", "n_clusters", "dof", "covers")}
            )
    return pd.DataFrame(rows, columns=_SUMMARY_COLUMNS)


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's (1979) step-down adjustment of p values ``[P]``; NaN stay NaN and are not counted."""
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


_PAIR_COLUMNS = [
    *("system_a", "system_b", "difference", "ci_low", "ci_high", "p", "p_holm", "effect", "dof", "distinguishable"),
    *("smallest_detectable", "seeds_needed", "n_seeds", "n_examples", "n_clusters", "covers"),
]
_SUMMARY_COLUMNS = [
    *("system", "metric", "mean", "ci_low", "ci_high", "sd", "n_seeds", "n_examples", "n_clusters", "dof", "covers"),
]


def _tables(scores: pd.DataFrame, metric: str) -> dict[str, pd.DataFrame]:
    """One table a system: seeds down, (cluster_id, example_id) across; systems in the order of their appearance.

    Raises:
        ValueError: no such metric, or an example that was scored twice with the same system and seed.
    """
    chosen = scores[scores["metric"] == metric]
    if chosen.empty:
        known = ", ".join(sorted(map(str, scores["metric"].unique())))
        raise ValueError(f"no scores of the metric '{metric}'; the table holds: {known}")
    repeated = chosen.duplicated(["system", "seed", "example_id"])
    if repeated.any():
        first = chosen[repeated].iloc[0]
        raise ValueError(
            f"example '{first['example_id']}' has two scores of '{metric}' for system '{first['system']}', "
            f"seed {first['seed']}"
        )
    return {
        str(system): group.pivot(index="seed", columns=["cluster_id", "example_id"], values="score").astype(float)
        for system, group in chosen.groupby("system", sort=False)
    }


def _common(a: pd.DataFrame, b: pd.DataFrame, a_fixed: bool, b_fixed: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables on the seeds and examples they share; a fixed system's only row is repeated for every seed."""
    if a_fixed and len(a) == 1:
        a = _repeat(a, b.index)
    elif b_fixed and len(b) == 1:
        b = _repeat(b, a.index)
    seeds = a.index.intersection(b.index)
    examples = a.columns.intersection(b.columns)
    a, b = a.loc[seeds, examples], b.loc[seeds, examples]
    whole = (a.notna() & b.notna()).all(axis=0)
    return a.loc[:, whole], b.loc[:, whole]


def _repeat(table: pd.DataFrame, seeds: pd.Index) -> pd.DataFrame:
    return pd.DataFrame(np.repeat(table.to_numpy(), len(seeds), axis=0), index=seeds, columns=table.columns)


def _estimate(table: pd.DataFrame) -> TwoWayMean:
    """Average the examples of each cluster, then treat seeds and clusters as random."""
    codes, names = pd.factorize(table.columns.get_level_values("cluster_id"))
    sizes = np.bincount(codes, minlength=len(names)).astype(np.float64)
    sums = np.stack([np.bincount(codes, weights=row, minlength=len(names)) for row in table.to_numpy()])
    return two_way_mean(sums / sizes, sizes)


def _describe(estimate: TwoWayMean, alpha: float) -> dict[str, object]:
    half = estimate.half_width(alpha)
    return {
        "difference": estimate.mean,
        "ci_low": estimate.mean - half,
        "ci_high": estimate.mean + half,
        "p": estimate.p_value(),
        "dof": estimate.dof,
        "n_seeds": estimate.num_seeds,
        "n_clusters": estimate.num_clusters,
        "covers": "seeds and examples" if estimate.num_seeds > 1 else "examples only",
    }


def _effect(a: pd.DataFrame, b: pd.DataFrame) -> float:
    """The difference over the root of the mean of both systems' variances over seeds."""
    if len(a) < 2:
        return float("nan")
    spreads = [float(table.mean(axis=1).var(ddof=1)) for table in (a, b)]
    pooled = float(np.sqrt(np.mean(spreads)))
    difference = float(a.to_numpy().mean() - b.to_numpy().mean())
    return difference / pooled if pooled > 0 else float("nan")


def _levels(p: NDArray[np.float64], rejected: NDArray[np.bool_], alpha: float) -> NDArray[np.float64]:
    """The level at which Holm's procedure tested each pair, or would have had to, for it to be found.

    The pair of rank r among m is tested at alpha / (m - r); after the first that fails, all others must pass the
    level of that one.
    """
    levels = np.full(len(p), alpha)
    known = ~np.isnan(p)
    total = int(known.sum())
    order = np.flatnonzero(known)[np.argsort(p[known], kind="stable")]
    num_rejected = int(rejected.sum())
    for rank, index in enumerate(order):
        levels[index] = alpha / (total - min(rank, num_rejected))
    return levels
