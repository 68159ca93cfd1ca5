"""Two one-sided tests: what counts as equal, what does not, and how often that is wrong."""

import numpy as np
import pandas as pd
import pytest

from mmbench.stats import compare_systems, equivalence
from tests.stats.simulation import Setting


def shifted(scores: pd.DataFrame, by: float) -> pd.DataFrame:
    """The first system's scores raised."""
    first = scores["system"] == "system 0"
    return scores.assign(score=scores["score"] + np.where(first, by, 0.0))


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return next(Setting(5, 400, "normal", seed_sd=0.02, taste_sd=0.1).tables(1))


def test_equal_systems_are_equivalent_within_a_wide_margin_only(scores: pd.DataFrame) -> None:
    wide, narrow = equivalence(scores, "score", 0.3).iloc[0], equivalence(scores, "score", 0.01).iloc[0]
    assert wide["equivalent"] and wide["p_holm"] < 0.05
    assert not narrow["equivalent"]
    assert wide["difference"] == pytest.approx(compare_systems(scores, "score").iloc[0]["difference"])


def test_the_test_and_its_interval_agree(scores: pd.DataFrame) -> None:
    for margin in np.linspace(0.02, 0.3, 15):
        row = equivalence(scores, "score", margin).iloc[0]
        assert row["equivalent"] == (-margin < row["ci_low"] and row["ci_high"] < margin)


def test_worse_by_much_is_not_not_worse(scores: pd.DataFrame) -> None:
    row = equivalence(shifted(scores, -1.0), "score", 0.2).iloc[0]
    assert row["p_a_not_worse"] > 0.99 and row["p_b_not_worse"] < 0.01
    assert not row["equivalent"]


def test_of_a_loss_the_lower_is_not_worse(scores: pd.DataFrame) -> None:
    row = equivalence(shifted(scores, -1.0), "score", 0.2, higher_is_better=False).iloc[0]
    assert row["p_a_not_worse"] < 0.01 and row["p_b_not_worse"] > 0.99


def test_a_difference_as_large_as_the_margin_is_rarely_called_equal() -> None:
    setting = Setting(3, 100, "normal", seed_sd=0.1, taste_sd=0.3)
    tables = (shifted(table, 0.3) for table in setting.tables(1000))
    assert np.mean([equivalence(table, "score", 0.3)["equivalent"].iloc[0] for table in tables]) <= 0.06


def test_pairs_are_adjusted_and_nothing_is_said_without_common_seeds(scores: pd.DataFrame) -> None:
    third = scores[scores["system"] == "system 0"].assign(system="other")
    third["seed"] += 100
    table = equivalence(pd.concat([scores, third]), "score", 0.3).set_index(["system_a", "system_b"])
    assert np.isnan(table.loc[("system 0", "other"), "p_equivalent"])
    assert table.loc[("system 0", "other"), "covers"] == "nothing"
    assert table.loc[("system 0", "system 1"), "equivalent"]


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan")])
def test_a_margin_must_be_above_0(scores: pd.DataFrame, margin: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        equivalence(scores, "score", margin)
