"""The rules: each looks at what the runs left, and says how clearly it holds and how clearly it does not."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmbench.claims.claim import ARM, Kind, Rule
from mmbench.claims.evidence import Evidence
from mmbench.report.catalogue import describe
from mmbench.stats.cube import ScoreCube
from mmbench.stats.pairing import DETERMINISTIC, mean_over, pairs_of
from mmbench.stats.two_way import TwoWayMean

ALPHA = 0.05
"""The chance of a wrong verdict on a rule, over all rules of a claim."""


@dataclass(frozen=True)
class Finding:
    """What a rule found, before the claim's other rules are taken into account."""

    p_holds: float = math.nan
    """Small where it is shown that the rule holds; NaN where nothing can be said."""
    p_refutes: float = math.nan
    """Small where the opposite is shown."""
    exact: bool = False
    """Whether this was counted or compared number by number, so that no chance is in it."""
    numbers: dict[str, Any] = field(default_factory=dict)
    """What was found, for the tables."""
    reason: str = ""
    """Why nothing can be said."""


class UnknownError(Exception):
    """Nothing can be said about a rule; the message says why."""


def find(rule: Rule, evidence: Evidence) -> Finding:
    """Apply a rule. What is missing, failed, or comes from one seed gives a finding that says so, never an error."""
    try:
        if rule.rule != "cheaper":
            _refuse_failed(rule, evidence)
        return _RULES[rule.rule](rule, evidence)
    except UnknownError as error:
        return Finding(reason=str(error))


def better(rule: Rule, evidence: Evidence) -> Finding:
    """``system`` scores higher than ``than`` by more than ``margin``.

    Both ways at two-sided levels; refuted where the advantage is shown to lie below the margin, or below
    ``equal_within`` where that is larger: worse, or too little better to matter.
    """
    advantage = _advantage(rule, evidence)
    p_holds = min(1.0, 2 * advantage.p_above(rule.margin))
    p_refutes = min(1.0, 2 * advantage.p_below(max(rule.margin, rule.equal_within)))
    return _tested(rule, advantage, p_holds, p_refutes)


def not_worse(rule: Rule, evidence: Evidence) -> Finding:
    """``system`` is worse than ``than`` by less than ``margin``: a one-sided test of non-inferiority."""
    advantage = _advantage(rule, evidence)
    return _tested(rule, advantage, advantage.p_above(-rule.margin), advantage.p_below(-rule.margin))


def equivalent(rule: Rule, evidence: Evidence) -> Finding:
    """The two differ by less than ``margin``: two one-sided tests (Schuirmann 1987)."""
    advantage = _advantage(rule, evidence)
    p_holds = float(np.maximum(advantage.p_above(-rule.margin), advantage.p_below(rule.margin)))
    p_refutes = min(1.0, 2 * float(np.minimum(advantage.p_above(rule.margin), advantage.p_below(-rule.margin))))
    return _tested(rule, advantage, p_holds, p_refutes)


def loses(rule: Rule, evidence: Evidence) -> Finding:
    """The text-only loss of ``system`` has risen in training, by more than ``margin`` nats."""
    table, cluster = _table(rule.system, "text_loss_change", evidence)
    change = _several_seeds(mean_over(table, cluster))
    p_holds = min(1.0, 2 * change.p_above(rule.margin))
    p_refutes = min(1.0, 2 * change.p_below(max(rule.margin, rule.equal_within)))
    # Where no text changed at all there is no spread to test against, and nothing left to be lost.
    return _tested(rule, change, p_holds, p_refutes if table.any() else 0.0)


def unchanged(rule: Rule, evidence: Evidence) -> Finding:
    """The text-only loss of ``system`` is that of before training, exactly, for every text and seed."""
    table, cluster = _table(rule.system, "text_loss_change", evidence)
    _several_seeds(mean_over(table, cluster))
    largest = float(np.abs(table).max())
    numbers = {"largest_change": largest, "num_texts": table.shape[1], "num_seeds": len(table)}
    return Finding(float(largest > 0), float(largest == 0), exact=True, numbers=numbers)


def cheaper(rule: Rule, evidence: Evidence) -> Finding:
    """``system`` costs less than ``than`` at every image size; with ``grows_with``: ever less as images grow.

    The ratio of the costs must lie below 1 by ``margin`` at each size; it refutes where it lies that far above 1, or at
    1 where nothing is allowed for. With ``grows_with`` the ratio must fall from size to size, wherever it begins; it
    refutes where the last is no lower than the first.
    """
    ratios = _ratios(rule, evidence)
    values = list(ratios.values())
    low, high = 1 - rule.margin, 1 + rule.margin
    if not rule.grows_with:
        holds = all(ratio < low for ratio in values)
        refutes = any(ratio >= high for ratio in values)
    elif len(values) < 2:
        raise UnknownError(f"{rule.cost} is known at one image size alone")
    else:
        falls = all(later < earlier * high for earlier, later in pairwise(values))
        holds = falls and values[-1] < values[0] * low
        refutes = values[-1] >= values[0] * high
    return Finding(float(not holds), float(not refutes), exact=True, numbers={"ratios": ratios})


_RULES: dict[Kind, Callable[[Rule, Evidence], Finding]] = {
    "better": better,
    "not_worse": not_worse,
    "equivalent": equivalent,
    "cheaper": cheaper,
    "unchanged": unchanged,
    "loses": loses,
}


def _tested(rule: Rule, estimate: TwoWayMean, p_holds: float, p_refutes: float) -> Finding:
    half = estimate.half_width(ALPHA)
    numbers = {
        "difference": estimate.mean,
        "ci_low": estimate.mean - half,
        "ci_high": estimate.mean + half,
        "margin": rule.margin,
        "num_seeds": estimate.num_seeds,
        "num_images": estimate.num_clusters,
    }
    return Finding(p_holds, p_refutes, numbers=numbers)


def _advantage(rule: Rule, evidence: Evidence) -> TwoWayMean:
    """The mean by which ``system`` is ahead of ``than`` over the seeds and images that both have."""
    scores = evidence.scores
    chosen = scores[(scores["metric"] == rule.metric) & scores["system"].isin([rule.system, rule.than])]
    _refuse_missing(rule.metric, {rule.system, rule.than} - set(chosen["system"]), evidence)
    chosen = chosen.dropna(subset=["score"])
    cube = ScoreCube.of(chosen, rule.metric) if len(chosen) else None
    deterministic = [name for name in (rule.system, rule.than) if name.split(ARM)[0] in DETERMINISTIC]
    pair = next(pairs_of(cube, deterministic), None) if cube is not None else None
    if pair is None or not pair.a.size:
        raise UnknownError(f"'{rule.system}' and '{rule.than}' have no seed and example in common")
    sign = 1 if describe(rule.metric).higher_is_better else -1
    difference = pair.a - pair.b if pair.system_a == rule.system else pair.b - pair.a
    return _several_seeds(mean_over(sign * difference, pair.cluster))


def _table(system: str, metric: str, evidence: Evidence) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """[S, E] scores of one system, and the examples' clusters."""
    scores = evidence.scores
    chosen = scores[(scores["metric"] == metric) & (scores["system"] == system)]
    _refuse_missing(metric, set() if len(chosen) else {system}, evidence)
    cube = ScoreCube.of(chosen, metric)
    table = cube.of_system(system)
    whole = ~np.isnan(table).any(axis=0)
    if not whole.any():
        raise UnknownError(f"no example has a '{metric}' of '{system}' with every seed")
    return table[:, whole], cube.cluster[whole]


def _several_seeds(estimate: TwoWayMean) -> TwoWayMean:
    if estimate.num_seeds < 2:
        raise UnknownError(f"one seed says nothing of other seeds (seen: {estimate.mean:+.4g})")
    if math.isnan(estimate.variance):
        raise UnknownError(f"one image says nothing of other images (seen: {estimate.mean:+.4g})")
    return estimate


def _ratios(rule: Rule, evidence: Evidence) -> dict[int, float]:
    """Image size -> cost of ``system`` over that of ``than``, by rising size; one size where it depends on none."""
    costs = evidence.costs[evidence.costs["cost"] == rule.cost].dropna(subset=["value"])
    by_size = {name: costs[costs["system"] == name] for name in (rule.system, rule.than)}
    missing = [name for name, rows in by_size.items() if rows.empty]
    if missing:
        raise UnknownError(f"{rule.cost} of {' and '.join(missing)} was not measured")
    ours, theirs = (_series(rows) for rows in by_size.values())
    ratios = {size: ours[size] / theirs[size] for size in sorted(ours) if theirs.get(size)}
    if not ratios:
        raise UnknownError(f"{rule.cost} was measured at no image size that both have")
    return dict(list(ratios.items())[:1]) if rule.cost.startswith("parameters") else ratios


def _series(rows: pd.DataFrame) -> dict[int, float]:
    return {int(size): float(value) for size, value in zip(rows["image_size"], rows["value"], strict=True)}


def _refuse_missing(metric: str, missing: set[str], evidence: Evidence) -> None:
    reasons = {name: evidence.why_missing(name, metric) for name in sorted(missing)}
    if reasons:
        named = [f"{name} (not applicable: {reason})" if reason else name for name, reason in reasons.items()]
        raise UnknownError(f"no '{metric}' of {' and '.join(named)}")


def _refuse_failed(rule: Rule, evidence: Evidence) -> None:
    failed = [f"{name} {evidence.failures[name]}" for name in (rule.system, rule.than) if name in evidence.failures]
    if failed:
        raise UnknownError(f"failed cells: {'; '.join(failed)}")
