"""What a comparison spends: one amount of one unit, the same for every system."""

import math
import re
from dataclasses import dataclass

from mmbench.config.errors import UserError

UNITS = ("samples", "steps", "flops", "s")
"""The units a budget is counted in; ``min`` and ``h`` are written, seconds are kept."""

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_WRITTEN = re.compile(r"^\s*([0-9][0-9_]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?)\s*([a-zA-Z]+)\s*$")


@dataclass(frozen=True)
class Budget:
    """An amount to spend exactly.

    ``samples``: one image with one text each; ``steps``: optimiser steps; ``flops``: floating-point
    operations of training steps, forward and backward; ``s``: device seconds of training steps.
    """

    amount: float
    unit: str

    def __str__(self) -> str:
        amount = f"{self.amount:.0f}" if self.amount < 1e7 and self.amount == int(self.amount) else f"{self.amount:g}"
        return f"{amount}{self.unit}"


def parse_budget(text: str) -> Budget:
    """Read ``20000samples``, ``500steps``, ``3e14flops``, ``120s``, ``5min`` or ``1h``.

    Raises:
        UserError: the text has no such form, the unit is unknown, or nothing could be bought for it.
    """
    match = _WRITTEN.match(text)
    how = "write an amount and a unit, as in 20000samples, 500steps, 3e14flops, 120s, 5min or 1h"
    if match is None:
        raise UserError(f"budget '{text}' is not understood: {how}")
    amount, unit = float(match[1].replace("_", "")), match[2]
    if unit in _SECONDS:
        amount, unit = amount * _SECONDS[unit], "s"
    if unit not in UNITS:
        raise UserError(f"budget '{text}' has the unknown unit '{match[2]}': {how}")
    if not math.isfinite(amount) or amount <= 0:
        raise UserError(f"budget '{text}' buys nothing: the amount must be above 0")
    return Budget(amount, unit)
