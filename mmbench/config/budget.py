"""What a comparison spends: one amount of one unit, the same for every system; several amounts make a study."""

import math
import re
from dataclasses import dataclass

from mmbench.config.errors import UserError

UNITS = ("samples", "tokens", "epochs", "steps", "flops", "s")
"""The units a budget is counted in; ``min`` and ``h`` are written, seconds are kept."""

_OTHERWISE_WRITTEN = {"min": (60.0, "s"), "h": (3600.0, "s"), "epoch": (1.0, "epochs")}
_WRITTEN = re.compile(r"^\s*([0-9][0-9_]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?)\s*([a-zA-Z]*)\s*$")
_EXACT_DIGITS = 12
_HOW = "write an amount and a unit, as in 20000samples, 1e6tokens, 2epochs, 500steps, 3e14flops, 120s, 5min or 1h"


@dataclass(frozen=True)
class Budget:
    """An amount to spend exactly.

    ``samples``: one image with one text each. ``tokens``: text tokens read: all of a row that is not padding, so
    prompts, words that are predicted, and the caption and the two queries of a contrastive pair; neither ``<bos>`` nor
    image tokens, which families differ in. ``epochs``: passes over the training images that have a text; one pass is
    as many rows as there are such images, and each pass draws the texts of an image anew. ``steps``: optimiser steps.
    ``flops``: floating-point operations of training steps, forward and backward. ``s``: device seconds of training
    steps.
    """

    amount: float
    unit: str

    def __str__(self) -> str:
        return f"{self._digits()}{self.unit}"

    def _digits(self) -> str:
        if self.amount < 1e7 and self.amount == int(self.amount):
            return f"{self.amount:.0f}"
        short = f"{self.amount:g}"
        digits = short if float(short) == self.amount else f"{self.amount:.{_EXACT_DIGITS}g}"
        return re.sub(r"e\+?(-?)0*", r"e\1", digits)


def parse_budget(text: str) -> Budget:
    """Read ``20000samples``, ``1e6tokens``, ``2epochs``, ``500steps``, ``3e14flops``, ``120s``, ``5min`` or ``1h``.

    Raises:
        UserError: the text has no such form, the unit is unknown, or nothing could be bought for it.
    """
    match = _WRITTEN.match(text)
    if match is None or not match[2]:
        several = "; several amounts are given by --budget of compare and plan alone" if "," in text else ""
        raise UserError(f"budget '{text}' is not understood: {_HOW}{several}")
    factor, unit = _OTHERWISE_WRITTEN.get(match[2], (1.0, match[2]))
    amount = float(match[1].replace("_", "")) * factor
    if unit not in UNITS:
        raise UserError(f"budget '{text}' has the unknown unit '{match[2]}': {_HOW}")
    if not math.isfinite(amount) or amount <= 0:
        raise UserError(f"budget '{text}' buys nothing: the amount must be above 0")
    return Budget(amount, unit)


def parse_budgets(text: str) -> list[str]:
    """The amounts of ``1e13,3e13,1e14flops``, each with its unit: a bare one takes that of the next that has one.

    Raises:
        UserError: an amount is not understood, or stands there twice, or two have units that cannot be compared.
    """
    written: list[str] = []
    unit = ""
    for part in reversed(text.split(",")):
        match = _WRITTEN.match(part)
        if match is None or not (match[2] or unit):
            # Said of the part alone, or of the whole where the last amount lacks its unit.
            raise UserError(
                f"budget '{part.strip() or text}' is not understood: {_HOW}, or several: 1e13,3e13,1e14flops"
            )
        unit = match[2] or unit
        written.insert(0, match[1] + unit)
    budgets = [parse_budget(one) for one in written]
    units = {budget.unit: None for budget in budgets}
    if len(units) > 1:
        raise UserError(f"budget '{text}' mixes {' and '.join(units)}: give all amounts in one unit")
    for index, budget in enumerate(budgets):
        if budget in budgets[:index]:
            raise UserError(f"budget '{text}' has the amount {budget} twice: each may stand there only once")
    return written
