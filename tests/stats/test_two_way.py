"""The two-way interval: its value on a table worked by hand, and its level and coverage by simulation."""

import numpy as np
import pytest
from scipy import stats

from mmbench.stats.two_way import two_way_mean


def simulate(rng, seeds, clusters, seed_variance, cluster_variance, mean=0.0):
    effects = rng.normal(0, np.sqrt(seed_variance), (seeds, 1)) + rng.normal(
        0, np.sqrt(cluster_variance), (1, clusters)
    )
    return mean + effects + rng.normal(0, 1, (seeds, clusters))


def test_a_table_worked_by_hand():
    # Rows 0 2 4 and 2 4 12: row means 2, 6; column means 1, 3, 8; mean 4.
    result = two_way_mean(np.array([[0.0, 2, 4], [2, 4, 12]]), np.ones(3))
    ms_seed = 3 * (4 + 4) / 1
    ms_cluster = 2 * (9 + 1 + 16) / 2
    ms_rest = (1 + 1 + 4 + 1 + 1 + 4) / 2
    variance = (ms_seed + ms_cluster - ms_rest) / 6
    share = ms_seed / (variance * 6)
    assert result.mean == pytest.approx(4)
    assert result.variance == pytest.approx(variance)
    assert result.dof == pytest.approx(1 / (share**2 / 1 + (1 - share) ** 2 / 2))
    assert result.half_width(0.05) >= stats.t.ppf(0.975, result.dof) * np.sqrt(variance)


def test_one_seed_is_the_plain_t_interval_over_images():
    values = np.random.default_rng(0).normal(0.3, 1, 40)
    result = two_way_mean(values[None], np.ones(40))
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    assert result.mean - result.half_width(0.05) == pytest.approx(low)
    assert result.mean + result.half_width(0.05) == pytest.approx(high)
    assert result.p_value() == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_the_mean_is_over_examples_and_equal_cluster_sizes_change_nothing():
    table = np.random.default_rng(1).normal(size=(3, 20))
    assert two_way_mean(table, np.full(20, 4.0)) == two_way_mean(table, np.ones(20))
    sizes = np.arange(1.0, 21)
    assert two_way_mean(table, sizes).mean == pytest.approx((table * sizes).sum() / (3 * sizes.sum()))


def test_the_variance_is_never_below_a_one_way_part():
    rng = np.random.default_rng(2)
    for _ in range(200):
        table = simulate(rng, 3, 10, 0.0, 0.0)
        from_seeds = table.mean(axis=1).var(ddof=1) / 3
        from_clusters = table.mean(axis=0).var(ddof=1) / 10
        assert two_way_mean(table, np.ones(10)).variance >= max(from_seeds, from_clusters) - 1e-12


@pytest.mark.parametrize(
    ("seeds", "seed_variance", "highest"), [(3, 0.0, 0.05), (3, 0.03, 0.06), (3, 1.0, 0.075), (5, 0.1, 0.06)]
)
def test_level_holds_with_few_seeds(seeds, seed_variance, highest):
    rng = np.random.default_rng(3)
    p = [two_way_mean(simulate(rng, seeds, 60, seed_variance, 1.0), np.ones(60)).p_value() for _ in range(2000)]
    assert np.mean(np.array(p) < 0.05) <= highest


def test_a_bootstrap_over_examples_does_not_hold_it():
    """The reason for all this: pooling seeds and resampling images alone calls noise of the seeds a difference."""
    rng = np.random.default_rng(4)
    alarms = []
    for _ in range(200):
        images = simulate(rng, 3, 60, 0.3, 1.0).mean(axis=0)
        means = rng.choice(images, (300, 60)).mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        alarms.append(not low <= 0 <= high)
    assert np.mean(alarms) > 0.2


def test_power_is_what_smallest_detectable_says():
    rng = np.random.default_rng(5)
    size = np.median(
        [two_way_mean(simulate(rng, 5, 60, 0.1, 1), np.ones(60)).detectable(0.05, 0.8) for _ in range(300)]
    )
    p = [two_way_mean(simulate(rng, 5, 60, 0.1, 1, size), np.ones(60)).p_value() for _ in range(600)]
    assert 0.7 < np.mean(np.array(p) < 0.05) < 0.95


def test_a_constant_difference_has_no_spread():
    result = two_way_mean(np.full((3, 5), 0.1), np.ones(5))
    assert result.variance == 0 and result.p_value() == 0
    assert two_way_mean(np.zeros((3, 5)), np.ones(5)).p_value() == 1


def test_one_image_says_nothing():
    assert np.isnan(two_way_mean(np.array([[0.5], [0.7]]), np.ones(1)).p_value())
