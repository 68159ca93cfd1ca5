"""The figure of a scaling study: error against budget on logarithmic axes, seeds as dots, laws as lines."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mmbench.report.catalogue import HEADLINES, describe
from mmbench.report.style import TEXT_WIDTH, Look, drawing, legend_above, save
from mmbench.report.systems import Summary

_MOST_PANELS = 6


def draw_scaling(summary: Summary, found: dict[str, Look], folder: Path) -> Path | None:
    """A panel a metric; bars span the seeds, dotted lines mark crossings within the budgets."""
    study = summary["scaling"]
    shown = [*(m for m in HEADLINES if m in study["metrics"]), *(m for m in study["metrics"] if m not in HEADLINES)]
    shown = shown[:_MOST_PANELS]
    if not shown:
        return None
    columns = 2 if len(shown) in (2, 4) else min(3, len(shown))
    num_rows = -(-len(shown) // columns)
    records: list[pd.DataFrame] = []
    with drawing(found):
        figure = Figure(figsize=(TEXT_WIDTH, 2.3 * num_rows), layout="constrained")
        panels = list(figure.subplots(num_rows, columns, squeeze=False).flat)
        used: dict[str, None] = {}
        for panel, metric in zip(panels, shown, strict=False):
            points = pd.DataFrame(study["metrics"][metric]["points"])
            points["drawn"] = points["score"] * describe(metric).scale
            if study["metrics"][metric]["error"] == "1 - score":
                points["drawn"] = (1 - points["score"]) * describe(metric).scale
            for name, own in points.groupby("system", sort=False):
                _draw_system(panel, own, study["metrics"][metric], str(name), found[str(name)])
                used[str(name)] = None
            for row in study["metrics"][metric]["crossings"]:
                if row["within"] and row["crossing"] is not None:
                    panel.axvline(row["crossing"], color="#888888", linewidth=0.8, linestyle=":", zorder=0)
            _axes(panel, metric, study["metrics"][metric]["error"], study["budgets"], study["unit"])
            records.append(points.assign(metric=metric))
        for panel in panels[len(shown) :]:
            panel.set_visible(False)
        names = [name for name in found if name in used]
        legend_above(figure, found, names)
        return save(figure, pd.concat(records), folder, "scaling")


def _draw_system(panel: Axes, own: pd.DataFrame, metric: dict[str, object], name: str, look: Look) -> None:
    by_budget = own.groupby("budget")["drawn"]
    budgets = np.array(sorted(own["budget"].unique()))
    mean, low, high = by_budget.mean(), by_budget.min(), by_budget.max()
    panel.vlines(budgets, low, high, color=look.colour, linewidth=1)
    laws = metric["laws"]
    law = next((row for row in laws if row["system"] == name), None) if isinstance(laws, list) else None
    if law is None:
        panel.plot(budgets, mean, color=look.colour, linestyle=look.line, linewidth=0.9)
    else:
        scale = 100 if metric["error"] == "1 - score" else 1
        x = np.geomspace(budgets[0], budgets[-1], 40)
        panel.plot(x, scale * law["coefficient"] * x ** -law["exponent"], color=look.colour, linestyle=look.line)
    panel.plot(budgets, mean, look.mark, color=look.colour, zorder=3)


def _axes(panel: Axes, metric: str, error: str | None, budgets: list[float], unit: str) -> None:
    shown = describe(metric)
    panel.set_xscale("log")
    panel.set_title(f"{shown.label}, error" if error == "1 - score" else shown.label)
    panel.set_ylabel("percent (100 - score)" if error == "1 - score" else "nats per token" if error else "score")
    panel.set_xlabel(f"budget in {unit}")
    panel.set_xticks(budgets, [f"{budget:.2g}" if budget >= 1e6 else f"{budget:,.0f}" for budget in budgets])
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.xaxis.set_minor_locator(LogLocator(subs=[]))
    if error:
        _logarithmic(panel)
    panel.grid()
    panel.set_axisbelow(True)


def _logarithmic(panel: Axes) -> None:
    """The axis of the errors, with enough numbers to be read by where it spans less than a decade and a half."""
    panel.set_yscale("log")
    bottom, top = panel.get_ylim()
    if top / bottom < 30:
        subs = (
            [1, 1.5, 2, 3, 5, 7] if top / bottom > 2 else np.arange(1, 10, 0.5 if top / bottom > 1.3 else 0.1).tolist()
        )
        panel.yaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
