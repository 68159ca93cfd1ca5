"""The front of quality and cost: who is on it, who is beaten by whom, and how sure that is."""

import numpy as np
import pandas as pd
import pytest

from mmbench.stats import pareto_front
from tests.stats.simulation import Setting

COSTS = {"system 0": 1.0, "system 1": 2.0, "system 2": 2.0, "system 3": 4.0}


def scores_with(raised: dict[str, float], num_seeds: int = 3) -> pd.DataFrame:
    setting = Setting(num_seeds, 200, "normal", seed_sd=0.05, taste_sd=0.1, num_systems=4)
    (scores,) = setting.tables(1)
    return scores.assign(score=scores["score"] + scores["system"].map(lambda name: raised.get(name, 0.0)))


def test_better_and_cheaper_is_on_the_front() -> None:
    scores = scores_with({"system 0": 1.0, "system 1": 2.0, "system 3": 3.0})
    front = pareto_front(scores, COSTS, "score").set_index("system")
    assert list(front["cost"]) == [1.0, 2.0, 2.0, 4.0]
    assert front["on_front"].to_dict() == {"system 0": True, "system 1": True, "system 2": False, "system 3": True}
    assert front.loc["system 2", "dominated_by"] == ["system 0", "system 1"]
    assert front.loc["system 2", "surely_dominated_by"] == ["system 0", "system 1"]
    assert front["front_probability"].to_dict() == pytest.approx(
        {"system 0": 1.0, "system 1": 1.0, "system 2": 0.0, "system 3": 1.0}, abs=0.02
    )


def test_equal_systems_leave_the_front_open() -> None:
    front = pareto_front(scores_with({}), COSTS, "score").set_index("system")
    assert front.loc["system 0", "front_probability"] == 1  # the cheapest: nothing can beat it
    assert 0.1 < front.loc["system 3", "front_probability"] < 0.9
    assert all(by == [] for by in front["surely_dominated_by"])


def test_lower_may_be_better() -> None:
    scores = scores_with({"system 0": 1.0})
    front = pareto_front(scores, COSTS, "score", higher_is_better=False).set_index("system")
    assert front.loc["system 0", "on_front"]
    assert front.loc["system 3", "dominated_by"] == [] or "system 0" not in front.loc["system 3", "dominated_by"]


def test_systems_without_a_cost_are_left_out_and_one_system_is_a_front() -> None:
    front = pareto_front(scores_with({}), {"system 2": 3.0}, "score")
    assert front["system"].tolist() == ["system 2"] and front["front_probability"].tolist() == [1.0]


def test_a_system_without_a_number_has_no_place() -> None:
    scores = scores_with({})
    scores.loc[scores["system"] == "system 1", "score"] = np.nan
    assert pareto_front(scores, COSTS, "score")["system"].tolist() == ["system 0", "system 2", "system 3"]


def test_one_image_leaves_the_probability_unknown() -> None:
    scores = scores_with({})
    front = pareto_front(scores[scores["example_id"] == 0], COSTS, "score")
    assert front["front_probability"].isna().all() and front["on_front"].any()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="no system has both"):
        pareto_front(scores_with({}), {"nobody": 1.0}, "score")
    with pytest.raises(ValueError, match="cost of system 1 is not a number"):
        pareto_front(scores_with({}), COSTS | {"system 1": np.nan}, "score")
