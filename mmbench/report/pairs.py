"""Every pair of systems on every metric, adjusted within the family of pairs that answers one question."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from mmbench.report.catalogue import in_order, is_headline_variant
from mmbench.stats import compare_systems
from mmbench.stats.multiple import holm, levels_left

ALPHA = 0.05
"""The chance, over one family of pairs, of calling any two apart that are not."""


def all_pairs(scores: pd.DataFrame, systems: list[str], baselines: list[str]) -> dict[str, list[dict[str, Any]]]:
    """By metric: every pair, the first-named system being the one that stands first in the tables.

    Each question is a family of its own, within which Holm's procedure adjusts: which of the systems is better (all
    pairs of systems), whether systems beat a baseline (all systems against that one), how baselines compare.
    """
    pairs: dict[str, list[dict[str, Any]]] = {}
    rank = {name: number for number, name in enumerate([*systems, *baselines])}
    ordered = scores.assign(rank=scores["system"].map(rank)).sort_values("rank", kind="stable").drop(columns="rank")
    for metric in in_order({str(name) for name in scores["metric"].unique()}):
        if is_headline_variant(metric):
            own = ordered[ordered["metric"] == metric]
            families = [_among(own, metric, systems)]
            families += [_against(own, metric, systems, baseline) for baseline in baselines]
            families.append(_among(own, metric, baselines))
            pairs[metric] = [_named(row) for family in families for row in family.to_dict("records")]
    return pairs


def _among(scores: pd.DataFrame, metric: str, names: list[str]) -> pd.DataFrame:
    """All pairs of ``names``, one family."""
    chosen = scores[scores["system"].isin(names)]
    if chosen.empty:
        return pd.DataFrame()
    table = compare_systems(chosen, metric, ALPHA)
    return table.assign(adjusted_over=len(table))


def _against(scores: pd.DataFrame, metric: str, names: list[str], baseline: str) -> pd.DataFrame:
    """Each of ``names`` against one baseline, one family; empty where the baseline has no such score."""
    held = [name for name in names if name in set(scores["system"])]
    if not held or baseline not in set(scores["system"]):
        return pd.DataFrame()
    both = [scores[scores["system"].isin([name, baseline])] for name in held]
    table = pd.concat([compare_systems(chosen, metric, ALPHA) for chosen in both], ignore_index=True)
    p = table["p"].to_numpy(dtype=float)
    table["p_holm"] = holm(p)
    table["distinguishable"] = table["p_holm"] < ALPHA
    # What a pair could have shown is a matter of the level at which the family's procedure tests it: a single pair
    # that is compared at that level says so.
    levels = levels_left(p, table["distinguishable"].to_numpy(dtype=bool), ALPHA)
    for index, (chosen, level) in enumerate(zip(both, levels, strict=True)):
        alone = compare_systems(chosen, metric, float(level)).iloc[0]
        for column in ("smallest_detectable", "seeds_needed"):
            table.loc[index, column] = alone[column]
    return table.assign(adjusted_over=len(table))


def _named(row: dict[Hashable, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in row.items()}
