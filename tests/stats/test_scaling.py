"""Power laws: planted exponents and crossings are found, and their intervals hold."""

import numpy as np
import pandas as pd
import pytest

from mmbench.stats import scaling_law

BUDGETS = [1e12, 3e12, 1e13, 3e13]


def study(
    exponents: dict[str, float], coefficients: dict[str, float], seeds: int = 3, noise: float = 0.01, seed: int = 0
) -> pd.DataFrame:
    """Losses on power laws, each seed with a level of its own, each run with noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for system, exponent in exponents.items():
        for run in range(seeds):
            level = rng.normal(0, 2 * noise)
            for budget in BUDGETS:
                loss = coefficients[system] * budget**-exponent * np.exp(level + rng.normal(0, noise))
                rows.append((system, budget, run, loss))
    return pd.DataFrame(rows, columns=["system", "budget", "seed", "score"])


def test_exact_laws_are_found_exactly() -> None:
    points = study({"a": 0.1, "b": 0.2}, {"a": 20.0, "b": 400.0}, noise=0.0)
    found = scaling_law(points)
    laws = found.laws.set_index("system")
    assert laws["exponent"].to_dict() == pytest.approx({"a": 0.1, "b": 0.2})
    assert laws["coefficient"].to_dict() == pytest.approx({"a": 20.0, "b": 400.0})
    assert laws["misfit"].to_numpy() == pytest.approx(0, abs=1e-12)
    crossing = found.crossings.iloc[0]
    assert crossing["crossing"] == pytest.approx(20.0**10)  # 20 B^-0.1 = 400 B^-0.2
    assert crossing["within"] and crossing["better_above"] == "b"


def test_accuracies_are_errors_below_their_ceiling() -> None:
    points = study({"a": 0.1}, {"a": 5.0}, noise=0.0)
    laws = scaling_law(points.assign(score=1 - points["score"]), ceiling=1.0).laws
    assert laws["exponent"].iloc[0] == pytest.approx(0.1)


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_exponent_s_interval_holds(seeds: int) -> None:
    laws = [scaling_law(study({"a": 0.1}, {"a": 5.0}, seeds, 0.02, seed)).laws.iloc[0] for seed in range(1000)]
    assert 0.93 <= np.mean([law["ci_low"] <= 0.1 <= law["ci_high"] for law in laws]) <= 0.97


def test_the_crossing_s_interval_holds() -> None:
    exponents, coefficients = {"a": 0.1, "b": 0.2}, {"a": 20.0, "b": 400.0}
    rows = [scaling_law(study(exponents, coefficients, 4, 0.02, seed)).crossings.iloc[0] for seed in range(1000)]
    truth = 20.0**10
    assert np.mean([row["ci_low"] <= truth <= row["ci_high"] for row in rows]) >= 0.93
    assert np.mean([row["within"] for row in rows]) > 0.95


def test_parallel_laws_rarely_cross_where_it_can_be_told() -> None:
    studies = (study({"a": 0.1, "b": 0.1}, {"a": 5.0, "b": 5.1}, noise=0.02, seed=seed) for seed in range(500))
    crossings = pd.concat([scaling_law(points).crossings for points in studies])
    assert crossings["ci_low"].notna().mean() <= 0.07


def test_one_seed_has_the_interval_of_the_regression() -> None:
    law = scaling_law(study({"a": 0.1}, {"a": 5.0}, seeds=1)).laws.iloc[0]
    assert law["covers"] == "budgets" and law["ci_low"] < law["exponent"] < law["ci_high"]


def test_a_seed_without_all_budgets_is_left_out() -> None:
    points = study({"a": 0.1}, {"a": 5.0}, seeds=4)
    assert scaling_law(points.drop(index=0)).laws["n_seeds"].iloc[0] == 3


def test_bad_tables_are_refused() -> None:
    points = study({"a": 0.1}, {"a": 5.0})
    with pytest.raises(ValueError, match="lacks budget"):
        scaling_law(points.drop(columns="budget"))
    with pytest.raises(ValueError, match=r"error of 'a' .* above 0"):
        scaling_law(points, ceiling=0.0)
    with pytest.raises(ValueError, match="twice"):
        scaling_law(pd.concat([points, points.tail(1)]))
    with pytest.raises(ValueError, match="two budgets"):
        scaling_law(points[points["budget"] == 1e12])
