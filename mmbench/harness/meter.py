"""What a cell has spent so far, in every unit at once: the ledger's source."""

from dataclasses import dataclass

from mmbench.config.budget import Budget
from mmbench.data.batch import Totals


@dataclass
class Meter:
    """Running totals of a cell's training; part of its checkpoint."""

    steps: int = 0
    """Optimiser steps."""
    samples: int = 0
    """Images with one text each."""
    rows: int = 0
    """Images, each with several texts."""
    rows_per_epoch: int = 0
    """Training images that have a text: the rows of one pass over them."""
    tokens: int = 0
    """Text tokens read, as `Budget` counts them."""
    flops: float = 0.0
    """Floating-point operations of forward and backward passes."""
    device_s: float = 0.0
    """Seconds in training steps."""
    waiting_s: float = 0.0
    """Seconds between steps, waiting for data."""
    validation_s: float = 0.0
    """Seconds of validation and of writing checkpoints."""
    peak_memory_bytes: int = 0
    """Most memory held: of the accelerator, or of the process where there is none."""

    def add_step(self, totals: Totals, flops: float, device_s: float, waiting_s: float) -> None:
        """Count one optimiser step."""
        self.steps += 1
        self.samples += totals.samples
        self.rows += totals.rows
        self.tokens += totals.tokens
        self.flops += flops
        self.device_s += device_s
        self.waiting_s += waiting_s

    def spent(self, unit: str) -> float:
        """The amount spent in a budget's unit."""
        if unit == "epochs":
            return self.rows / self.rows_per_epoch
        counted = {"samples": self.samples, "tokens": self.tokens, "steps": self.steps, "flops": self.flops}
        return float(self.device_s if unit == "s" else counted[unit])

    def fraction(self, budget: Budget) -> float:
        """The fraction of the budget that is spent."""
        return self.spent(budget.unit) / budget.amount

    def has_reached(self, end: float, budget: Budget, step_cost: float) -> bool:
        """Whether the fraction ``end`` of the budget is spent, as closely as a whole number of steps can come.

        Args:
            end: of a stage, as a fraction of the budget.
            budget: what is spent.
            step_cost: what the last step took of it; the next is taken to cost as much.
        """
        return end * budget.amount - self.spent(budget.unit) < step_cost / 2
