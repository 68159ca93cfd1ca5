"""What was held equal between the systems, and how well that succeeded."""

from collections.abc import Callable
from typing import Any

from mmbench.report import numbers
from mmbench.report.run_data import RunData

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
