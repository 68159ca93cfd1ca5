"""What the figures are drawn from: curves at shares of the budget, fixed looks, short names."""

import numpy as np
import pandas as pd
import pytest

from mmbench.report.cost_figures import _curve
from mmbench.report.run_data import load_run
from mmbench.report.style import looks, short_names


def test_a_curve_is_the_mean_and_the_span_of_the_seeds(make_run):
    run = load_run(make_run(images=6))
    cells = run.cells_of("unified")
    for cell, level in zip(cells, (1.0, 2.0, 6.0), strict=True):
        cell.log = pd.DataFrame({"fraction": np.linspace(0, 1, 30), "loss": level})
    line = _curve(run, "unified", "loss")
    assert line["mean"].to_numpy() == pytest.approx(3.0)
    assert (line["low"] == 1).all() and (line["high"] == 6).all()
    cells[2].log = cells[2].log[cells[2].log["fraction"] < 0.5]
    line = _curve(run, "unified", "loss")
    assert line["mean"].iloc[-1] == pytest.approx(1.5) and line["fraction"].max() == pytest.approx(1.0)
    assert _curve(run, "unified", "no such loss") is None


def test_each_system_keeps_its_own_look():
    found = looks([f"s{i}" for i in range(10)], ["chance", "majority", "blind"])
    assert len(set(found.values())) == 13
    assert found["s0"] == looks(["s0", "s1"], [])["s0"]


def test_short_names_stay_apart():
    names = [f"unified_with_a_very_long_name_{i}_llama_vision" for i in range(3)] + ["b"]
    short = short_names(names)
    assert len(set(short.values())) == 4 and max(map(len, short.values())) <= 26 and short["b"] == "b"
