"""Figures of scores: paired differences with their intervals, and scores by question kind."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from mmbench.report import numbers
from mmbench.report.catalogue import HEADLINES, describe, ends
from mmbench.report.fonts import is_right_to_left
from mmbench.report.style import TEXT_WIDTH, Look, drawing, legend_above, save, short_names, shorten
from mmbench.report.systems import Summary, names_of


def draw_pairs(summary: Summary, folder: Path) -> Path | None:
    """One panel a headline metric, one line a pair of systems; filled where the pair can be told apart."""
    systems = names_of(summary, "system")
    metrics = [metric for metric in HEADLINES if _num_compared(summary, metric, systems) > 1]
    pairs = [(a, b) for number, a in enumerate(systems) for b in systems[number + 1 :]]
    if not metrics or not pairs:
        return None
    known = {
        (row["system_a"], row["system_b"])
        for metric in metrics
        for row in summary["pairs"][metric]
        if row["ci_low"] is not None
    }
    pairs = [pair for pair in pairs if pair in known]
    if not pairs:
        return None
    short = short_names(systems, 18)
    labels = [_difference(short[a], short[b]) for a, b in pairs]
    records: list[dict[str, Any]] = []
    with drawing(systems):
        columns = len(metrics) if len(metrics) <= _MOST_BESIDE else -(-len(metrics) // 2)
        num_rows = -(-len(metrics) // columns)
        height = 0.35 + num_rows * (0.4 + 0.2 * len(pairs))
        figure = Figure(figsize=(TEXT_WIDTH, height), layout=ConstrainedLayoutEngine(wspace=0.08))
        panels = list(figure.subplots(num_rows, columns, sharey=True, squeeze=False).flat)
        for panel in panels[len(metrics) :]:
            panel.set_visible(False)
        for panel, metric in zip(panels, metrics, strict=False):
            shown = describe(metric)
            rows = {(row["system_a"], row["system_b"]): row for row in summary["pairs"][metric]}
            panel.axvline(0, color="#888888", linewidth=0.7)
            for height, pair in enumerate(pairs):
                row = rows.get(pair)
                if row is None or row["ci_low"] is None:
                    panel.text(
                        0.5, height, "not compared", transform=panel.get_yaxis_transform(), fontsize=7, color="#888888"
                    )
                    continue
                low, middle, high = (row[key] * shown.scale for key in ("ci_low", "difference", "ci_high"))
                sure = bool(row["distinguishable"])
                panel.plot([low, high], [height, height], color="#222222" if sure else "#999999", linewidth=1)
                face = "#222222" if sure else "white"
                panel.plot(middle, height, "o", color="#222222" if sure else "#999999", markerfacecolor=face)
                records.append({"metric": metric, "pair": f"{pair[0]} - {pair[1]}", **row})
            panel.set_title(shown.short)
            panel.set_yticks(range(len(pairs)), labels)
            panel.set_ylim(len(pairs) - 0.4, -0.6)
            panel.grid(axis="x")
            panel.set_axisbelow(True)
            # Neighbouring panels' outermost numbers must not run into each other.
            panel.locator_params(axis="x", nbins=4, prune="both")
            panel.tick_params(axis="y", length=0)
            panel.spines["left"].set_visible(False)
        figure.supxlabel("difference in points, with 95% interval", fontsize=8.5)
        return save(figure, pd.DataFrame(records), folder, "pairs")


_MOST_BESIDE = 5
"""More panels than this stand in two rows."""


def _num_compared(summary: Summary, metric: str, systems: list[str]) -> int:
    return sum(metric in summary["systems"][name]["metrics"] for name in systems) if metric in summary["pairs"] else 0


def _difference(a: str, b: str) -> str:
    """``a - b``, from left to right also where the names are of a script that is written from the right."""
    if is_right_to_left(a) or is_right_to_left(b):
        a, b = (f"\N{LEFT-TO-RIGHT MARK}\N{FIRST STRONG ISOLATE}{name}\N{POP DIRECTIONAL ISOLATE}" for name in (a, b))
    return f"{a} {numbers.MINUS} {b}"


def draw_kinds(summary: Summary, base: str, found: dict[str, Look], folder: Path) -> Path | None:
    """Question kinds down, systems as dots with intervals, the blind baseline as a bar to beat."""
    prefix = f"{base}/"
    systems = [name for name in names_of(summary, "system") if _kinds(summary, name, prefix)]
    kinds = sorted({kind for name in systems for kind in _kinds(summary, name, prefix)})[:24]
    if not kinds:
        return None
    blind = _kinds(summary, "blind", prefix) if "blind" in summary["systems"] else {}
    records = []
    spacing = 0.7 / max(len(systems), 1)
    with drawing([*systems, *kinds]):
        height = 0.6 + len(kinds) * max(0.3, 0.07 * len(systems) + 0.1)
        figure = Figure(figsize=(TEXT_WIDTH, height), layout="constrained")
        panel = figure.subplots()
        for number, kind in enumerate(kinds):
            if number % 2:
                panel.axhspan(number - 0.5, number + 0.5, color="#F5F5F5", linewidth=0)
            if kind in blind:
                level = 100 * blind[kind]["mean"]
                panel.plot([level, level], [number - 0.4, number + 0.4], color=found["blind"].colour, linewidth=1.2)
                records.append(_kind_record("blind", kind, blind[kind]))
        for place, name in enumerate(systems):
            look = found[name]
            for kind, entry in _kinds(summary, name, prefix).items():
                if kind not in kinds:
                    continue
                y = kinds.index(kind) + (place - (len(systems) - 1) / 2) * spacing
                low, high = ends(entry, base)
                panel.plot([low, high], [y, y], color=look.colour, linewidth=1)
                panel.plot(100 * entry["mean"], y, look.mark, color=look.colour)
                records.append(_kind_record(name, kind, entry))
        panel.set_yticks(range(len(kinds)), [shorten(kind, 30) for kind in kinds])
        panel.set_ylim(len(kinds) - 0.5, -0.5)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="x")
        panel.set_axisbelow(True)
        panel.set_xlabel(f"{describe(base).label} in percent, with 95% interval; grey line: blind")
        legend_above(figure, found, systems, lines=False)
        return save(figure, pd.DataFrame(records), folder, f"kinds_{base}")


def _kinds(summary: Summary, name: str, prefix: str) -> dict[str, Any]:
    metrics = summary["systems"][name]["metrics"]
    return {metric.removeprefix(prefix): entry for metric, entry in metrics.items() if metric.startswith(prefix)}


def _kind_record(system: str, kind: str, entry: dict[str, Any]) -> dict[str, Any]:
    low, high = entry["interval"]
    return {"system": system, "kind": kind, "mean": entry["mean"], "ci_low": low, "ci_high": high}
