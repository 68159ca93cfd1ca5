"""Scaling laws: error as a power of the budget, its exponent with an interval, and where two curves cross."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mmbench.stats.compare import check_alpha


@dataclass(frozen=True)
class ScalingLaws:
    """Both tables of a scaling study."""

    laws: pd.DataFrame
    """One row a system: system, coefficient and exponent of ``error = coefficient * budget ** -exponent``, ci_low,
    ci_high (of the exponent), misfit (root of the mean squared deviation of the mean curve from the law, as a
    fraction of the error), n_budgets, n_seeds, covers ("seeds", or "budgets" with one seed)."""
    crossings: pd.DataFrame
    """One row a pair: system_a, system_b, crossing (the budget at which the laws meet; NaN where they are parallel),
    ci_low, ci_high (NaN where the budgets at which they may meet are not bounded, since the two exponents cannot be
    told apart), within (whether the crossing lies between the smallest and the largest budget), better_above (the
    system with the lower error beyond it)."""


def scaling_law(points: pd.DataFrame, ceiling: float | None = None, alpha: float = 0.05) -> ScalingLaws:
    """Power laws of the error in the budget, one a system, by least squares of the logarithms.

    Every training seed gives a law of its own, over the budgets at which all its runs exist; a system's law is their
    mean, and its interval that of the mean over seeds, so that what a seed has in common over budgets is not counted
    as several observations. With one seed the interval is that of the regression over budgets. Crossings are Fieller's
    (1954): the budgets at which the difference of the two laws is not told from 0.

    Args:
        points: columns system, budget, seed, score.
        ceiling: the error is ``ceiling - score`` where a higher score is better (1 for an accuracy); without it the
            score itself is the error, as a loss is.
        alpha: level of the intervals.

    Raises:
        ValueError: a column is missing, fewer than two budgets, a budget or an error that is not above 0, or a run
            that stands in the table twice.
    """
    check_alpha(alpha)
    lines, errors = {}, {}
    for system, own in _errors(points, ceiling).groupby("system", sort=False):
        table = own.pivot(index="seed", columns="budget", values="error").dropna(axis=0)
        if table.shape[1] < 2 or table.empty:
            raise ValueError(f"a scaling law of '{system}' needs two budgets or more that every seed was run with")
        errors[str(system)] = table
        lines[str(system)] = _lines(table)
    laws = pd.DataFrame([_law(name, errors[name], lines[name], alpha) for name in lines])
    crossings = [
        _crossing((a, errors[a], lines[a]), (b, errors[b], lines[b]), alpha) for a, b in combinations(lines, 2)
    ]
    return ScalingLaws(laws, pd.DataFrame(crossings, columns=_CROSSING_COLUMNS))


_CROSSING_COLUMNS = ["system_a", "system_b", "crossing", "ci_low", "ci_high", "within", "better_above"]


def _errors(points: pd.DataFrame, ceiling: float | None) -> pd.DataFrame:
    missing = [column for column in ("system", "budget", "seed", "score") if column not in points]
    if missing:
        raise ValueError(f"the table of a scaling study lacks {', '.join(missing)}")
    error = points["score"] if ceiling is None else ceiling - points["score"]
    found = points.assign(error=error)
    for column in ("budget", "error"):
        wrong = ~(found[column] > 0)
        if wrong.any():
            row = found[wrong].iloc[0]
            raise ValueError(
                f"the {column} of '{row['system']}' (budget {row['budget']}, seed {row['seed']}) is {row[column]}: a "
                "power law needs values above 0"
            )
    repeated = found.duplicated(["system", "budget", "seed"])
    if repeated.any():
        row = found[repeated].iloc[0]
        raise ValueError(f"'{row['system']}' stands in the table twice with budget {row['budget']}, seed {row['seed']}")
    return found


def _lines(table: pd.DataFrame) -> NDArray[np.float64]:
    """[S, 2] intercept and slope of ln(error) over ln(budget) for each seed."""
    x = np.log(table.columns.to_numpy(dtype=float))
    fitted: NDArray[np.float64] = np.polynomial.polynomial.polyfit(x, np.log(table.to_numpy(dtype=float)).T, 1).T
    return fitted


def _law(name: str, table: pd.DataFrame, lines: NDArray[np.float64], alpha: float) -> dict[str, object]:
    intercept, slope = lines.mean(axis=0)
    x, y = np.log(table.columns.to_numpy(dtype=float)), np.log(table.to_numpy(dtype=float)).mean(axis=0)
    rest = y - intercept - slope * x
    num_seeds, num_budgets = table.shape
    if num_seeds > 1:
        half = stats.t.ppf(1 - alpha / 2, num_seeds - 1) * lines[:, 1].std(ddof=1) / np.sqrt(num_seeds)
    elif num_budgets > 2:
        spread = np.sqrt((rest**2).sum() / (num_budgets - 2) / ((x - x.mean()) ** 2).sum())
        half = stats.t.ppf(1 - alpha / 2, num_budgets - 2) * spread
    else:
        half = np.nan
    return {
        "system": name,
        "coefficient": float(np.exp(intercept)),
        "exponent": -float(slope),
        "ci_low": -float(slope) - float(half),
        "ci_high": -float(slope) + float(half),
        "misfit": float(np.sqrt((rest**2).mean())),
        "n_budgets": num_budgets,
        "n_seeds": num_seeds,
        "covers": "seeds" if num_seeds > 1 else "budgets",
    }


_Fitted = tuple[str, pd.DataFrame, NDArray[np.float64]]


def _crossing(a: _Fitted, b: _Fitted, alpha: float) -> dict[str, object]:
    """Where the difference of two lines is 0, over the seeds that both have."""
    seeds = a[1].index.intersection(b[1].index)
    difference = a[2][a[1].index.get_indexer(seeds)] - b[2][b[1].index.get_indexer(seeds)]
    if not len(seeds):
        difference = (a[2].mean(axis=0) - b[2].mean(axis=0))[None]
    intercept, slope = difference.mean(axis=0)
    at = -intercept / slope if slope != 0 else np.nan
    low, high = _fieller(difference, alpha) if len(difference) > 1 else (np.nan, np.nan)
    budgets = np.log(np.union1d(a[1].columns, b[1].columns).astype(float))
    better = None if np.isnan(at) else (a[0] if slope < 0 else b[0])
    with np.errstate(over="ignore"):
        return {
            "system_a": a[0],
            "system_b": b[0],
            "crossing": float(np.exp(at)),
            "ci_low": float(np.exp(low)),
            "ci_high": float(np.exp(high)),
            "within": bool(budgets.min() <= at <= budgets.max()),
            "better_above": better,
        }


def _fieller(lines: NDArray[np.float64], alpha: float) -> tuple[float, float]:
    """The x at which ``mean(c) + mean(m) x`` is within t standard errors of 0, over lines (c, m) ``[S, 2]``.

    NaN where the slope is not told from 0: the set is then not bounded.
    """
    num = len(lines)
    mean, covariance = lines.mean(axis=0), np.cov(lines.T) / num
    t2 = float(stats.t.ppf(1 - alpha / 2, num - 1)) ** 2
    # (c + m x)^2 <= t^2 (Vcc + 2 Vcm x + Vmm x^2), a quadratic in x.
    square = mean[1] ** 2 - t2 * covariance[1, 1]
    linear = 2 * (mean[0] * mean[1] - t2 * covariance[0, 1])
    constant = mean[0] ** 2 - t2 * covariance[0, 0]
    inside = linear**2 - 4 * square * constant
    if square <= 0 or inside < 0:
        return float("nan"), float("nan")
    root = np.sqrt(inside)
    return float((-linear - root) / (2 * square)), float((-linear + root) / (2 * square))
