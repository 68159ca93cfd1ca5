"""Results as short tables in the terminal."""

import json
from pathlib import Path
from typing import Any

from mmbench.cli.terminal import result_console, result_table
from mmbench.report.abilities import missing
from mmbench.report.catalogue import describe, front_page, in_order


def print_results(summary: Path) -> None:
    """Print the scores of all systems, baselines last, from ``summary.json``.

    Means with half the width of their 95% interval; percent where the metric is a fraction.
    """
    content = json.loads(summary.read_text(encoding="utf-8"))
    systems: dict[str, Any] = content["systems"]
    names = sorted(systems, key=lambda name: systems[name]["kind"] == "baseline")
    present = {metric for system in systems.values() for metric in system["metrics"]}
    metrics = front_page(present)
    title = f"{content['name']}: {content['budget']} for each system, seeds {', '.join(map(str, content['seeds']))}"
    table = result_table(["system", *(describe(metric).short for metric in metrics)])
    for name in names:
        cells = [_score(systems[name], metric) for metric in metrics]
        table.add_row(name, *cells, style="dim" if systems[name]["kind"] == "baseline" else "")
    console = result_console()
    console.print(title, style="bold", markup=False, highlight=False)
    console.print(table)
    for name in names:
        for seed, cell in systems[name]["cells"].items():
            if cell["status"] == "failed":
                console.print(f"Failed: {name}, seed {seed}: {cell['reason']}", markup=False)


def print_scores(scores: dict[str, Any]) -> None:
    """Print the scores of one cell, by metric; what is not a number follows as JSON."""
    numbers = {name: value for name, value in scores.items() if isinstance(value, int | float)}
    table = result_table(["metric", "score"])
    for name in in_order(set(numbers)):
        metric = describe(name)
        table.add_row(name, f"{numbers[name] * metric.scale:.{metric.digits}f}")
    console = result_console()
    if numbers:
        console.print(table)
    for name, value in scores.items():
        if name not in numbers:
            console.print(f"{name}: {json.dumps(value, ensure_ascii=False, default=str)}", markup=False, soft_wrap=True)


def _score(system: dict[str, Any], name: str) -> str:
    entry = system["metrics"].get(name)
    if entry is None or entry["mean"] is None:
        return missing(system, name)
    metric = describe(name)
    text = f"{entry['mean'] * metric.scale:.{metric.digits}f}"
    low, high = entry["interval"]
    if low is None or high is None:
        return text
    return f"{text} ± {(high - low) / 2 * metric.scale:.{metric.digits}f}"
