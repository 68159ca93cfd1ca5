"""Pareto fronts of quality and cost, for the summary, the figure and the table."""

import math
from typing import Any

import pandas as pd

from mmbench.report import numbers
from mmbench.report.abilities import missing
from mmbench.report.catalogue import HEADLINES, describe
from mmbench.report.matching import TOLERANCE, mean_of
from mmbench.report.run_data import RunData
from mmbench.report.systems import Summary, names_of
from mmbench.report.tables import Row, Table, TableCell
from mmbench.stats import pareto_front

_ANSWER = {"answer_s": "time of an answer", "first_token_s": "time to first token"}
_LATENCY = {
    "vqa_accuracy": _ANSWER,
    "exact_match": _ANSWER,
    "cider_d": {"caption_s": "time of a caption"},
    "text_to_image_recall@5": {"embed_image_s": "time to embed an image"},
}
"""The latency that a user of each task feels: the first of these that was measured."""
_LEDGER = {
    "flops": "training FLOPs",
    "parameters_total": "parameters",
    "peak_memory_bytes": "peak memory of training",
}
_MOST = 3
"""Panels of either kind."""


def fronts(run: RunData, scores: pd.DataFrame, results: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of ``stats.pareto_front`` by metric and cost: each task's latency, then the first metric's other costs.

    A cost in which no system is more than 1% from another orders nothing, and is left out. Each entry: metric, cost,
    label, unit ("s", "bytes", "flops" or "count"), rows [{system, cost, mean, ci_low, ci_high, on_front, dominated_by,
    surely_dominated_by, front_probability, and for latencies cost_p95}].
    """
    measured = [metric for metric in HEADLINES if any(metric in results.get(name, {}) for name in run.systems)]
    found: list[dict[str, Any]] = []
    for metric in measured:
        if metric in _LATENCY and len(found) < _MOST:
            timed = {row["measure"] for row in run.latency.get("rows", [])}
            measure, label = next(
                ((key, words) for key, words in _LATENCY[metric].items() if key in timed),
                next(iter(_LATENCY[metric].items())),
            )
            times = _times(run, measure)
            found += _front(run, scores, metric, measure, label, {name: row["p50"] for name, row in times.items()})
            for row in found[-1]["rows"] if found and found[-1]["metric"] == metric else ():
                row["cost_p95"] = times[row["system"]]["p95"]
    # What most systems can do, so that as many as can be stand in one picture.
    widest = max(measured, key=lambda m: sum(m in results.get(name, {}) for name in run.systems), default="")
    for key, label in _LEDGER.items():
        costs = {name: mean for name in run.systems if (mean := mean_of(run, name, key)) is not None}
        if measured and costs and max(costs.values()) > (1 + TOLERANCE) * min(costs.values()):
            found += _front(run, scores, widest, key, label, costs)
    return found


def _times(run: RunData, measure: str) -> dict[str, dict[str, Any]]:
    """The compared systems' latency at batch 1 and the smallest image."""
    alone = [row for row in run.latency.get("rows", []) if row["batch_size"] == 1 and row["measure"] == measure]
    smallest = min((row["image_size"] for row in alone), default=0)
    return {
        row["system"]: row
        for row in alone
        if row["image_size"] == smallest and row["system"] in run.systems and _is_number(row["p50"])
    }


def _front(
    run: RunData, scores: pd.DataFrame, metric: str, key: str, label: str, costs: dict[str, float]
) -> list[dict[str, Any]]:
    """One front, in a list; an empty list where no system has both a score and a cost."""
    chosen = scores[scores["metric"] == metric].dropna(subset="score")
    known = {name: cost for name, cost in costs.items() if name in set(chosen["system"])}
    if len(known) < 1:
        return []
    rows = pareto_front(chosen, known, metric, higher_is_better=describe(metric).higher_is_better)
    unit = {"flops": "flops", "parameters_total": "count", "peak_memory_bytes": "bytes"}.get(key, "s")
    return [{"metric": metric, "cost": key, "label": label, "unit": unit, "rows": rows.to_dict("records")}]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def fronts_table(summary: Summary) -> Table | None:
    """A row a system, a column a front: whether it is on it, how probably, and by how many it is beaten."""
    names = names_of(summary, "system")
    if not summary["fronts"] or len(names) < 2:
        return None
    rows: list[Row] = []
    for name in names:
        row: Row = [TableCell(name, style="system")]
        for front in summary["fronts"]:
            entry = next((each for each in front["rows"] if each["system"] == name), None)
            why = missing(summary["systems"][name], front["metric"])
            row.append(_entry(entry, why if why == "not applicable" else "no score or cost"))
        rows.append(row)
    title = (
        "Pareto fronts: whether no other system is at least as good and as cheap; below, how often that stays so when "
        "seeds and images are drawn anew, and how many others beat it (‡: one with a score that can be told apart)."
    )
    groups = [("", 1), *((describe(front["metric"]).short, 1) for front in summary["fronts"])]
    header = ["System", *(front["label"] for front in summary["fronts"])]
    records = [
        {"metric": front["metric"], "cost_of": front["cost"], **_flat(row)}
        for front in summary["fronts"]
        for row in front["rows"]
    ]
    return Table("fronts", title, header, rows, groups=groups, data=pd.DataFrame(records), size=7.5)


def _entry(entry: dict[str, Any] | None, why: str) -> TableCell:
    if entry is None:
        return TableCell(why, style="muted")
    probability = numbers.percent(entry["front_probability"], 0)
    if entry["on_front"]:
        return TableCell("on the front", probability if entry["front_probability"] is not None else "not known", "bold")
    sure = " ‡" if entry["surely_dominated_by"] else ""
    return TableCell("dominated", f"{probability}, by {len(entry['dominated_by'])}{sure}")


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {key: "; ".join(value) if isinstance(value, list) else value for key, value in row.items()}
