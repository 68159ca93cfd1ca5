"""Looking after every seed: the levels are the published ones, and false alarms stay where one look would have them."""

import numpy as np
import pytest
from scipy import stats

from mmbench.stats import compare_systems, look_levels
from mmbench.stats.two_way import two_way_mean
from tests.stats.simulation import Setting

LOOKS = [3, 4, 5, 6, 7, 8]
SEQUENCES = 2000


def test_levels_are_those_of_the_published_boundaries() -> None:
    """Two-sided 0.05, spending of Pocock's kind, five equal steps: z of 2.438, 2.427, 2.410, 2.397, 2.386.

    Reboussin, DeMets, Kim and Lan (2000), Controlled Clinical Trials 21.
    """
    levels = look_levels([1, 2, 3, 4, 5], 5)
    assert stats.norm.isf(np.array(levels) / 2) == pytest.approx([2.438, 2.427, 2.410, 2.397, 2.386], abs=0.002)


def test_a_single_look_at_the_end_has_all_of_the_level() -> None:
    assert look_levels([7], 7) == pytest.approx([0.05], abs=1e-4)
    assert look_levels([7], 7, alpha=0.01) == pytest.approx([0.01], abs=1e-4)


@pytest.mark.parametrize("looks, most", [(LOOKS, 8), ([2, 5, 10], 10), ([3, 4], 10)])
def test_what_is_spent_is_what_a_random_walk_loses(looks: list[int], most: int) -> None:
    """The chance of crossing any boundary by the last look, against walks that know nothing of the integration."""
    walks = np.random.default_rng(0).normal(size=(400_000, most)).cumsum(axis=1)
    bounds = stats.norm.isf(np.array(look_levels(looks, most)) / 2)
    z = np.abs(walks[:, np.array(looks) - 1]) / np.sqrt(looks)
    crossed = (z > bounds).any(axis=1).mean()
    may_spend = 0.05 * np.log(1 + (np.e - 1) * looks[-1] / most)
    assert crossed == pytest.approx(may_spend, abs=4 * np.sqrt(0.05 / 400_000))


@pytest.mark.parametrize("seed_sd", [0.2, 0.6])
def test_false_alarms_with_looks_at_three_to_eight_seeds(seed_sd: float) -> None:
    """Over equal systems: with the looks' levels at most 0.07; with 0.05 at each look more than 0.1."""
    setting = Setting(num_seeds=LOOKS[-1], num_examples=60, kind="normal", seed_sd=seed_sd, taste_sd=0.1)
    corrected, naive = _false_alarms(setting)
    print(f"seed sd {seed_sd}: false alarms {corrected:.3f} corrected, {naive:.3f} at 0.05 each look")
    assert corrected <= 0.07
    assert naive > 0.1


@pytest.mark.parametrize("kind", ["binary", "skewed"])
def test_false_alarms_of_other_scores(kind: str) -> None:
    corrected, _ = _false_alarms(Setting(num_seeds=LOOKS[-1], num_examples=100, kind=kind, seed_sd=0.3))
    assert corrected <= 0.07


def test_the_p_of_these_simulations_is_that_of_compare_systems() -> None:
    setting = Setting(num_seeds=4, num_examples=30)
    frame = next(setting.tables(1))
    rng = np.random.default_rng(0)
    scores = setting.draw(rng, setting.clusters(rng))
    assert frame["score"].to_numpy() == pytest.approx(scores.ravel()), "the same draw"
    table = two_way_mean(scores[0] - scores[1], np.ones(30))
    assert table.p_value() == pytest.approx(compare_systems(frame, "score").iloc[0]["p"], abs=1e-12)


@pytest.mark.parametrize(
    "looks, most, alpha",
    [([], 5, 0.05), ([0, 1], 5, 0.05), ([3, 3], 5, 0.05), ([4, 3], 5, 0.05), ([3, 6], 5, 0.05), ([3], 5, 0.0)],
)
def test_looks_that_make_no_sense_are_refused(looks: list[int], most: int, alpha: float) -> None:
    with pytest.raises(ValueError):
        look_levels(looks, most, alpha)


def _false_alarms(setting: Setting) -> tuple[float, float]:
    """Share of sequences of looks that ever find a difference: at the looks' levels, and at 0.05 each time."""
    levels = np.array(look_levels(LOOKS, LOOKS[-1]))
    rng = np.random.default_rng(1)
    clusters = setting.clusters(rng)
    sizes = np.ones(setting.num_examples)
    corrected = naive = 0
    for _ in range(SEQUENCES):
        scores = setting.draw(rng, clusters)
        difference = scores[0] - scores[1]
        p = np.array([two_way_mean(difference[:seeds], sizes).p_value() for seeds in LOOKS])
        corrected += bool((p < levels).any())
        naive += bool((p < 0.05).any())
    return corrected / SEQUENCES, naive / SEQUENCES
