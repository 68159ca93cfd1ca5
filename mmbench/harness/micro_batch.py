"""How many rows go through a model at once: as many as fit, found by trying."""

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from mmbench.config.training import TrainingSettings
from mmbench.harness.processes import TaskFailedError

Result = TypeVar("Result")


def with_rows_that_fit(attempt: Callable[[int], Result], rows: int, training: TrainingSettings) -> Result:
    """``attempt(rows)``, and again with about half as many rows each time memory does not suffice.

    Only the rows at once change: the global batch, and with it the loss, stays.

    Args:
        attempt: raises ``torch.OutOfMemoryError`` where the rows do not fit.
        rows: tried first.
        training: says the global batch and the contrastive groups, which the rows have to divide into.

    Raises:
        TaskFailedError: not even the smallest number of rows fits.
    """
    while True:
        try:
            return attempt(rows)
        except torch.OutOfMemoryError:
            fewer = fewer_rows(rows, training)
            if fewer is None:
                raise TaskFailedError(
                    f"out of memory with {rows} rows at once, which is one contrastive group: lower "
                    f"training.contrastive_group ({training.contrastive_group})"
                ) from None
        # Only here, with the error gone, is what the failed attempt held free; models stand in circles.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        rows = fewer


def fewer_rows(rows: int, training: TrainingSettings) -> int | None:
    """The largest micro-batch of at most half as many rows: whole contrastive groups, that divide the global batch."""
    group, batch = training.contrastive_group, training.batch_rows
    fitting = [n for n in range(group, rows // 2 + 1, group) if batch % n == 0]
    return max(fitting, default=None)
