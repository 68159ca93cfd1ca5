"""The figure of quality against cost: scores with their intervals, the front, and how sure each system is on it."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from mmbench.report import numbers
from mmbench.report.catalogue import describe, ends
from mmbench.report.style import TEXT_WIDTH, Look, drawing, legend_above, save
from mmbench.report.systems import MANY, Summary

_UNITS = {"s": (1e3, "ms"), "bytes": (2**-20, "MiB"), "flops": (1e-12, "10¹²"), "count": (1e-6, "millions")}


def draw_fronts(summary: Summary, found: dict[str, Look], folder: Path) -> Path | None:
    """A panel a front. A mark is as full as its system is probably on the front; the grey line joins the front."""
    fronts = summary["fronts"]
    if not fronts:
        return None
    columns = min(3, len(fronts))
    num_rows = -(-len(fronts) // columns)
    records: list[dict[str, Any]] = []
    with drawing(found):
        figure = Figure(figsize=(TEXT_WIDTH, 2.1 * num_rows), layout="constrained")
        panels = list(figure.subplots(num_rows, columns, squeeze=False).flat)
        for panel, front in zip(panels, fronts, strict=False):
            records += _draw(panel, front, found)
        for panel in panels[len(fronts) :]:
            panel.set_visible(False)
        names = [name for name in found if name in {record["system"] for record in records}]
        legend_above(figure, found, names, lines=False)
        return save(figure, pd.DataFrame(records), folder, "quality_cost")


def _draw(panel: Axes, front: dict[str, Any], found: dict[str, Look]) -> list[dict[str, Any]]:
    shown = describe(front["metric"])
    factor, unit = _UNITS[front["unit"]]
    records = []
    steps = []
    for row in front["rows"]:
        look = found[row["system"]]
        x, y = factor * row["cost"], shown.scale * row["mean"]
        low, high = ends({"interval": [row["ci_low"], row["ci_high"]]}, front["metric"])
        panel.plot([x, x], [low, high], color=look.colour, linewidth=1)
        if row.get("cost_p95") is not None:
            panel.plot([x, factor * row["cost_p95"]], [y, y], color=look.colour, linewidth=1)
        probability = row["front_probability"]
        fullness = float(row["on_front"]) if probability is None else probability
        panel.plot(x, y, look.mark, color=look.colour, markerfacecolor="white", markersize=6, zorder=3)
        panel.plot(
            x, y, look.mark, color=look.colour, markerfacecolor=to_rgba(look.colour, fullness), markersize=6, zorder=4
        )
        if len(front["rows"]) <= MANY and probability is not None and 0.01 <= probability <= 0.99:
            words = numbers.percent(probability, 0)
            panel.annotate(words, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=6.5, color=look.colour)
        if row["on_front"]:
            steps.append((x, y))
        kept = {key: row[key] for key in ("on_front", "front_probability", "mean", "ci_low", "ci_high")}
        others = {key: "; ".join(row[key]) for key in ("dominated_by", "surely_dominated_by")}
        records.append(
            {"metric": front["metric"], "cost": front["cost"], "system": row["system"], "value": row["cost"]}
            | kept
            | others
        )
    steps.sort()
    panel.step([x for x, _ in steps], [y for _, y in steps], where="post", color="#BBBBBB", linewidth=0.9, zorder=0)
    panel.set_title(shown.label)
    panel.set_xlabel(f"{front['label']} ({unit})")
    panel.margins(0.15)
    costs = [row["cost"] for row in front["rows"]]
    if min(costs) < max(costs) / 2:
        panel.set_xlim(left=0)  # systems that cost much the same would stand in one line on an axis from 0
    panel.locator_params(axis="x", nbins=4)
    panel.grid()
    panel.set_axisbelow(True)
    return records
