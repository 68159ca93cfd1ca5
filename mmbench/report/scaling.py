"""A scaling study from the summaries of its budgets: points, power laws, crossings by metric, and what is missing."""

from typing import Any

import pandas as pd

from mmbench.report.catalogue import HEADLINES, describe
from mmbench.report.joining import budget_of
from mmbench.report.run_data import RunData
from mmbench.report.systems import Summary, names_of
from mmbench.stats import scaling_law

_LOSSES = ("validation_caption_loss", "validation_answer_loss")
"""The last of each in a cell's log counts."""


def scaling_study(runs: list[RunData], summaries: list[Summary]) -> dict[str, Any]:
    """What ``summary.json`` holds under ``scaling``: one run and one summary a budget, the smallest budget first.

    Keys: unit, budgets (amounts), metrics {METRIC: {points: [{system, budget, seed, score}], error: "1 - score" |
    "score" | null (no law is fitted), laws, crossings (rows of ``stats.scaling_law``), notes: [sentence]}}.
    """
    budgets = [budget_of(run) for run in runs]
    points = _points(runs, summaries, [budget.amount for budget in budgets])
    systems = list(dict.fromkeys(name for summary in summaries for name in names_of(summary, "system")))
    metrics = {}
    for metric in [*HEADLINES, *_LOSSES]:
        own = points[(points["metric"] == metric) & points["system"].isin(systems)].drop(columns="metric")
        if own["budget"].nunique() > 1:
            metrics[metric] = _of_metric(own, metric)
    return {"unit": budgets[0].unit, "budgets": [budget.amount for budget in budgets], "metrics": metrics}


def error_of(metric: str) -> str | None:
    """Which error of a metric is to follow a power law; ``None`` for one without a best value that can be reached."""
    shown = describe(metric)
    if not shown.higher_is_better:
        return "score"
    return "1 - score" if shown.bounds == (0, 100) else None


def _points(runs: list[RunData], summaries: list[Summary], amounts: list[float]) -> pd.DataFrame:
    """One row a (system, budget, seed, metric) with a score that is a number."""
    rows = []
    for run, summary, amount in zip(runs, summaries, amounts, strict=True):
        for system, content in summary["systems"].items():
            for metric, entry in content["metrics"].items():
                rows += [(system, amount, int(s), metric, score) for s, score in entry["per_seed"].items()]
        for cell in run.cells:
            for loss in _LOSSES:
                if cell.status == "done" and loss in cell.log and cell.log[loss].notna().any():
                    rows.append((cell.system, amount, cell.seed, loss, float(cell.log[loss].dropna().iloc[-1])))
    table = pd.DataFrame(rows, columns=["system", "budget", "seed", "metric", "score"])
    return table[table["score"].notna()]


def _of_metric(points: pd.DataFrame, metric: str) -> dict[str, Any]:
    error = error_of(metric)
    found: dict[str, Any] = {"points": points.to_dict("records"), "error": error, "laws": [], "crossings": []}
    notes = _gaps(points)
    if error is None:
        found["notes"] = [f"no law is fitted to {describe(metric).label}: its best value is not known", *notes]
        return found
    fitted = []
    for system, own in points.groupby("system", sort=False):
        value = 1 - own["score"] if error == "1 - score" else own["score"]
        whole = own.pivot(index="seed", columns="budget", values="score").dropna(axis=0)
        if (value <= 0).any():
            notes.append(f"no law for {system}: at one budget it makes no error at all")
        elif own["budget"].nunique() < 2:
            notes.append(f"no law for {system}: it has scores at one budget only")
        elif whole.empty:
            notes.append(f"no law for {system}: no seed of it has scores at every budget")
        else:
            fitted.append(system)
    if fitted:
        laws = scaling_law(points[points["system"].isin(fitted)], 1.0 if error == "1 - score" else None)
        found |= {"laws": laws.laws.to_dict("records"), "crossings": laws.crossings.to_dict("records")}
    return found | {"notes": notes}


def _gaps(points: pd.DataFrame) -> list[str]:
    """Which systems lack a seed, or all, at a budget at which others have been scored."""
    counts = points.groupby(["system", "budget"], sort=False)["seed"].nunique().unstack("budget").fillna(0)
    most = counts.max().max()
    return [
        f"{system} has {int(number)} of {int(most)} seeds at {budget:g}"
        if number
        else f"{system} has no score at {budget:g}"
        for system, row in counts.iterrows()
        for budget, number in row.sort_index().items()
        if number < most
    ]
