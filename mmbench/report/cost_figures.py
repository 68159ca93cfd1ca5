"""Figures of cost: latency against the image's tokens, and learning curves."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbench.report.run_data import RunData
from mmbench.report.style import TEXT_WIDTH, Look, drawing, legend_above, save
from mmbench.report.systems import Summary, names_of

_CURVES = (
    ("loss", "Training loss", "weighted sum"),
    ("validation_loss", "Validation loss", "weighted sum"),
    ("validation_caption_loss", "Validation loss, captions", "nats per token"),
    ("validation_answer_loss", "Validation loss, answers", "nats per token"),
)


def draw_latency(summary: Summary, found: dict[str, Look], folder: Path) -> Path | None:
    """Time to the first token and per token against the image's tokens (its pixels, where those do not grow).

    Where not every system writes, the two times that most of them have stand in their place.
    """
    latency = pd.DataFrame(summary["latency"])
    if latency.empty or latency["image_size"].nunique() < 2:
        return None
    grows = latency.groupby("system")["image_tokens"].nunique().min() > 1
    x_name, x_label = ("image_tokens", "image tokens") if grows else ("image_size", "side of the image in pixels")
    batches = sorted(latency["batch_size"].unique())[:2]
    measures = _measures(latency)
    records = latency[latency["measure"].isin([measure for measure, _ in measures])]
    systems = [name for name in names_of(summary, "system") if name in set(records["system"])]
    if not systems:
        return None
    with drawing(systems):
        height = 1.9
        figure = Figure(figsize=(TEXT_WIDTH, height), layout="constrained")
        panels = figure.subplots(1, len(measures) * len(batches), squeeze=False)[0]
        for panel, (batch, (measure, words)) in zip(panels, ((b, m) for b in batches for m in measures), strict=True):
            for name in systems:
                rows = records[
                    (records["system"] == name) & (records["batch_size"] == batch) & (records["measure"] == measure)
                ].sort_values(x_name)
                look = found[name]
                panel.fill_between(
                    rows[x_name], 1e3 * rows["p50"], 1e3 * rows["p95"], color=look.colour, alpha=0.15, lw=0
                )
                panel.plot(rows[x_name], 1e3 * rows["p50"], color=look.colour, marker=look.mark, linestyle=look.line)
            panel.set_title(f"{words}, batch {batch}")
            panel.set_ylabel("ms")
            panel.set_ylim(bottom=0)
            panel.locator_params(axis="x", nbins=4)
            panel.grid()
            panel.set_axisbelow(True)
        figure.supxlabel(x_label, fontsize=8.5)
        legend_above(figure, found, systems)
        return save(figure, records, folder, "latency_tokens")


def _measures(latency: pd.DataFrame) -> list[tuple[str, str]]:
    """Two measures and their headings."""
    possible = {
        **{"first_token_s": "First token", "per_token_s": "Next token"},
        **{"answer_s": "Answer", "embed_image_s": "Embedding"},
    }
    having = latency.groupby("measure")["system"].nunique()
    ranked = sorted((m for m in possible if m in having.index), key=lambda measure: -having[measure])
    return [(measure, possible[measure]) for measure in sorted(ranked[:2], key=list(possible).index)]


def draw_curves(run: RunData, found: dict[str, Look], folder: Path) -> Path | None:
    """Losses over the spent share of the budget: the mean of a system's seeds and the band they span."""
    curves = []
    for key, title, unit in _CURVES:
        lines = {name: line for name in run.all_systems if (line := _curve(run, name, key)) is not None}
        if lines:
            curves.append((key, title, unit, lines))
    if not curves:
        return None
    num_rows = -(-len(curves) // 2)
    records: list[pd.DataFrame] = []
    with drawing(found):
        height = 2.1 * num_rows
        figure = Figure(figsize=(TEXT_WIDTH, height), layout="constrained")
        panels = figure.subplots(num_rows, 2, squeeze=False).flat
        for panel, (key, title, unit, lines) in zip(panels, curves, strict=False):
            _draw_curve(panel, title, unit, lines, found)
            records += [line.assign(system=name, curve=key) for name, line in lines.items()]
        for panel in list(panels)[: 2 * num_rows - len(curves)]:
            panel.set_visible(False)
        legend_above(figure, found, list(dict.fromkeys(name for *_, lines in curves for name in lines)))
        return save(figure, pd.concat(records), folder, "learning_curves")


def _draw_curve(panel: Axes, title: str, unit: str, lines: dict[str, pd.DataFrame], found: dict[str, Look]) -> None:
    tops = []
    for name, line in lines.items():
        look = found[name]
        x = 100 * line["fraction"]
        panel.fill_between(x, line["low"], line["high"], color=look.colour, alpha=0.18, linewidth=0)
        few = look.mark if len(line) <= 12 else None
        panel.plot(x, line["mean"], color=look.colour, linestyle=look.line, marker=few, markersize=3.5)
        early = line[line["fraction"] >= 0.02]
        tops.append(float((early if len(early) else line)["high"].max()))
    panel.set_title(title)
    panel.set_xlabel("budget spent, in percent")
    panel.set_ylabel(unit)
    panel.set_xlim(0, 100)
    # The first steps' loss is a matter of the start, and would flatten all that follows.
    lowest = min(float(line["low"].min()) for line in lines.values())
    if np.isfinite(tops).all() and max(tops) > lowest:
        panel.set_ylim(lowest - 0.05 * (max(tops) - lowest), max(tops) + 0.05 * (max(tops) - lowest))
    panel.grid()
    panel.set_axisbelow(True)


def _curve(run: RunData, system: str, key: str, points: int = 60) -> pd.DataFrame | None:
    """Mean, lowest and highest over the seeds at common shares of the budget; ``None`` without such a log."""
    lines: list[Any] = []
    for cell in run.cells_of(system):
        if key in cell.log and "fraction" in cell.log:
            line = cell.log[["fraction", key]].dropna().drop_duplicates("fraction", keep="last").sort_values("fraction")
            if len(line):
                lines.append(line.to_numpy(dtype=float))
    if not lines:
        return None
    # Few points (validation) are drawn where they were measured, many at evenly spaced shares of the budget.
    if max(len(line) for line in lines) <= 12:
        grid = max(lines, key=len)[:, 0]
    else:
        grid = np.linspace(max(line[0, 0] for line in lines), max(line[-1, 0] for line in lines), points)
    values = np.full((len(lines), len(grid)), np.nan)
    for number, line in enumerate(lines):
        inside = (grid >= line[0, 0] - 1e-9) & (grid <= line[-1, 0] + 1e-9)
        values[number, inside] = np.interp(grid[inside], line[:, 0], line[:, 1])
    kept = ~np.isnan(values).all(axis=0)
    values = values[:, kept]
    return pd.DataFrame(
        {
            "fraction": grid[kept],
            "mean": np.nanmean(values, axis=0),
            "low": np.nanmin(values, axis=0),
            "high": np.nanmax(values, axis=0),
        }
    )
