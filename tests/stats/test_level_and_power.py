"""By simulation: false alarms, coverage and power of `compare_systems`, over 2,000 tables of scores a setting."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from mmbench.stats import compare_systems
from mmbench.stats.pairing import mean_over
from tests.stats.simulation import Setting

NUM_TABLES = 2000
FEW_SEEDS = [
    Setting(2, 30, "binary", seed_sd=0.0),
    Setting(2, 100, "skewed", seed_sd=0.3, largest_cluster=5),
    Setting(2, 300, "binary", seed_sd=0.3),
    Setting(2, 300, "normal", seed_sd=0.3),
]
NO_SEED_EFFECT = [
    Setting(3, 30, "binary", seed_sd=0.0, taste_sd=0.0),
    Setting(3, 300, "skewed", seed_sd=0.0, largest_cluster=4),
    Setting(10, 100, "binary", seed_sd=0.0),
]
SEED_EFFECT = [
    Setting(3, 30, "binary", seed_sd=0.4),
    Setting(3, 100, "normal", seed_sd=0.3, largest_cluster=3),
    Setting(3, 300, "normal", seed_sd=0.3),
    Setting(3, 1000, "binary", seed_sd=0.2),
    Setting(3, 1000, "skewed", seed_sd=0.1, largest_cluster=5),
    Setting(5, 100, "binary", seed_sd=0.3, largest_cluster=5),
    Setting(5, 300, "normal", seed_sd=0.15),
    Setting(10, 100, "skewed", seed_sd=0.3),
    Setting(10, 300, "binary", seed_sd=0.2, largest_cluster=2),
]
pytestmark = pytest.mark.slow


@cache
def compared(setting: Setting) -> pd.DataFrame:
    """The row of `compare_systems` for each of many tables in which both systems are equal."""
    return pd.concat([compare_systems(table, "score") for table in setting.tables(NUM_TABLES)], ignore_index=True)


def false_alarms(setting: Setting) -> float:
    return float((compared(setting)["p"] < 0.05).mean())


def coverage(setting: Setting) -> float:
    """How often the interval holds the true difference, which is 0."""
    rows = compared(setting)
    return float(((rows["ci_low"] <= 0) & (rows["ci_high"] >= 0)).mean())


@pytest.mark.parametrize("setting", [*NO_SEED_EFFECT, *SEED_EFFECT], ids=str)
def test_level_and_coverage(setting: Setting) -> None:
    assert false_alarms(setting) <= 0.07
    assert coverage(setting) >= 0.93


@pytest.mark.parametrize("setting", FEW_SEEDS, ids=str)
def test_level_and_coverage_with_two_seeds(setting: Setting) -> None:
    assert false_alarms(setting) <= 0.09
    assert coverage(setting) >= 0.91


def test_the_interval_is_not_timid() -> None:
    assert 0.03 <= np.mean([false_alarms(setting) for setting in SEED_EFFECT]) <= 0.06


@pytest.mark.parametrize("setting", SEED_EFFECT, ids=str)
@pytest.mark.parametrize("power", [0.5, 0.8])
def test_power_is_that_of_the_noncentral_t(setting: Setting, power: float) -> None:
    """A planted difference is found as often as with the true components of variance and their degrees of freedom."""
    error, dof = true_error_and_dof(setting)
    critical = stats.t.isf(0.025, dof)
    distance = optimize.brentq(lambda by: stats.nct.sf(critical, dof, by) - power, 0, 60)
    rows = compared(setting)
    # Adding a constant to all scores of one system moves the difference and nothing else.
    shifted = rows["ci_low"] + distance * error
    assert (shifted > 0).mean() == pytest.approx(power, abs=0.05)


@cache
def true_error_and_dof(setting: Setting) -> tuple[float, float]:
    """The standard error of the difference, and Satterthwaite's degrees of freedom of the true mean squares."""
    rng = np.random.default_rng(99)
    cluster = setting.clusters(rng)
    draws = [setting.draw(rng, cluster) for _ in range(3000)]
    estimates = [mean_over(scores[0] - scores[1], cluster) for scores in draws]
    variance = float(np.var([each.mean for each in estimates]))
    from_seeds = float(np.mean([each.seed_variance for each in estimates])) / setting.num_seeds
    share = min(from_seeds / variance, 1.0)
    dof = 1 / (share**2 / (setting.num_seeds - 1) + (1 - share) ** 2 / estimates[0].cluster_dof)
    return float(np.sqrt(variance)), dof


@pytest.mark.parametrize("setting", [Setting(3, 100, "normal", 0.3, num_systems=6), Setting(5, 50, num_systems=6)])
def test_six_equal_systems_are_rarely_told_apart(setting: Setting) -> None:
    alarms = [compare_systems(table, "score")["distinguishable"].any() for table in setting.tables(NUM_TABLES)]
    assert np.mean(alarms) <= 0.06


def test_a_bootstrap_over_examples_alone_fails() -> None:
    """What most evaluations do: the seeds are averaged, and the images drawn again."""
    setting = Setting(3, 300, "normal", seed_sd=0.3)
    rng = np.random.default_rng(1)
    cluster = setting.clusters(rng)
    alarms = []
    for _ in range(500):
        scores = setting.draw(rng, cluster)
        difference = (scores[0] - scores[1]).mean(axis=0)
        means = difference[rng.integers(0, len(difference), (400, len(difference)))].mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        alarms.append(not low <= 0 <= high)
    assert np.mean(alarms) > 0.3
    assert false_alarms(setting) <= 0.07
