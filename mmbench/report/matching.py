"""What was held equal between the systems, and how well that succeeded."""

from collections.abc import Callable
from typing import Any

from mmbench.report import numbers
from mmbench.report.run_data import RunData
from mmbench.report.systems import Summary, names_of
from mmbench.report.text import Text, bold, system, text

TOLERANCE = 0.01
"""A deviation above this share is flagged."""

QUANTITIES: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "budget_spent": ("Budget spent", numbers.count),
    "parameters_total": ("Parameters", numbers.millions),
    "parameters_trainable": ("Trainable", numbers.millions),
    "parameters_active": ("Active", numbers.millions),
    "flops": ("Training FLOPs", numbers.power),
    "samples": ("Samples", numbers.count),
    "tokens": ("Tokens", numbers.count),
    "steps": ("Steps", numbers.count),
    "device_s": ("Device time", numbers.seconds),
}
"""Ledger entries that are compared between systems: their heading and how they are written."""


def matching(run: RunData) -> list[dict[str, Any]]:
    """One entry a quantity: each system's mean over seeds, the largest relative difference, and whether it is flagged.

    The binding budget is held against what was asked, everything else against the smallest of the systems. Only the
    compared systems count, not the baselines.
    """
    found = []
    for key, (label, _) in QUANTITIES.items():
        means = {name: mean for name in run.systems if (mean := mean_of(run, name, key)) is not None}
        if not means:
            continue
        low, high = min(means.values()), max(means.values())
        if key == "budget_spent":
            deviations = [
                abs(float(cell.ledger["deviation"]))
                for cell in run.cells
                if cell.ledger.get("deviation") is not None and not run.is_baseline(cell.system)
            ]
            difference = max(deviations, default=0.0)
        else:
            difference = high / low - 1 if low > 0 else 0.0
        flagged = difference > TOLERANCE
        found.append({"quantity": key, "label": label, "systems": means, "difference": difference, "flagged": flagged})
    return found


def mean_of(run: RunData, system: str, key: str) -> float | None:
    """The mean over a system's cells of one ledger entry; ``None`` where none has it."""
    values = [cell.ledger[key] for cell in run.cells_of(system) if isinstance(cell.ledger.get(key), int | float)]
    return sum(map(float, values)) / len(values) if values else None


def matched_sentences(summary: Summary) -> list[Text]:
    """For page one: which sizes were made equal, by which width of each system; empty where none were."""
    found = summary["matched"]
    if not found:
        return []
    within = numbers.percent(TOLERANCE, 0)
    said = [text(f"Matched before training, within {within} of the largest system: the {found['counts']}.")]
    for name in names_of(summary, "system"):
        one = found["systems"].get(name)
        if one and not one["reason"]:
            how = " as it is" if one["width"] is None else f" by {one['option']}={one['width']}"
            deviation = numbers.fixed(100 * one["deviation"], 2, sign=True)
            said.append(text(system(name), f"{how}: {numbers.count(one['count'])} ({deviation}%)."))
    return said


def unmatched(summary: Summary) -> list[Text]:
    """Notices: each system whose size could not be made equal, and why."""
    systems = (summary["matched"].get("systems") or {}).items()
    return [text(bold("Sizes: "), f"{one['said']}.") for _, one in systems if one["reason"]]
