"""Amounts as they are written: each unit, several at once, and every mistake."""

import pytest

from mmbench.config.budget import UNITS, Budget, parse_budget, parse_budgets
from mmbench.config.errors import UserError


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("20000samples", 20000, "samples"),
        ("1e6tokens", 1e6, "tokens"),
        ("2epochs", 2, "epochs"),
        ("0.5epochs", 0.5, "epochs"),
        ("1epoch", 1, "epochs"),
        (" 500 steps ", 500, "steps"),
        ("3e14flops", 3e14, "flops"),
        ("1_000_000samples", 1e6, "samples"),
        ("5min", 300, "s"),
        ("1.5h", 5400, "s"),
    ],
)
def test_one_amount(text: str, amount: float, unit: str) -> None:
    assert parse_budget(text) == Budget(amount, unit)
    assert unit in UNITS


@pytest.mark.parametrize("amount", [1.0, 0.25, 480.0, 1e7, 12345679.0, 2.5e9, 1e13, 3e14, 123456789012.0])
def test_a_budget_is_written_as_it_is_read(amount: float) -> None:
    text = str(Budget(amount, "samples"))
    assert parse_budget(text) == Budget(amount, "samples")
    assert "+" not in text, "it stands in the names of folders"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("12", "write an amount and a unit.*1e6tokens, 2epochs"),
        ("samples", "not understood"),
        ("-5steps", "not understood"),
        ("0epochs", "buys nothing"),
        ("1e999flops", "buys nothing"),
        ("5parsecs", "unknown unit 'parsecs'"),
        ("1e13,3e13flops", "not understood.*several amounts are given by --budget of compare and plan"),
    ],
)
def test_no_amount(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_budget(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1e13,3e13,1e14flops", ["1e13flops", "3e13flops", "1e14flops"]),
        ("1e13flops,3e13flops", ["1e13flops", "3e13flops"]),
        ("1, 2 ,4epochs", ["1epochs", "2epochs", "4epochs"]),
        ("30,60s,2min", ["30s", "60s", "2min"]),
        ("5min", ["5min"]),
    ],
)
def test_several_amounts(text: str, written: list[str]) -> None:
    assert parse_budgets(text) == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1e13,3e13", "budget '3e13' is not understood"),
        ("1e13flops,3e13", "budget '3e13' is not understood"),
        ("100samples,2epochs", "mixes samples and epochs: give all amounts in one unit"),
        ("100,1e2samples", "has the amount 100samples twice"),
        ("60s,1min", "has the amount 60s twice"),
        ("0,5steps", "buys nothing"),
        ("100samples,", "is not understood"),
        (",", "budget ',' is not understood"),
        ("", "is not understood"),
        ("1,2parsecs", "unknown unit 'parsecs'"),
    ],
)
def test_amounts_that_make_no_study(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_budgets(text)
