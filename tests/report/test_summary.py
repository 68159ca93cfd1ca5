"""summary.json: its numbers follow from the files, and it is built from whatever files there are."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from mmbench.config.errors import UserError
from mmbench.report.run_data import load_run
from mmbench.report.summary import build_summary


@pytest.fixture
def summary(whole_summary):
    return whole_summary


def test_means_and_seeds_are_those_of_the_scores(run_dir, summary):
    scores = pd.read_parquet(run_dir / "scores.parquet")
    for name in ("unified", "blind"):
        rows = scores[(scores["system"] == name) & (scores["metric"] == "vqa_accuracy")]
        entry = summary["systems"][name]["metrics"]["vqa_accuracy"]
        assert entry["mean"] == pytest.approx(rows["score"].mean())
        assert entry["interval"][0] < entry["mean"] < entry["interval"][1]
        assert entry["per_seed"]["1"] == pytest.approx(rows[rows["seed"] == 1]["score"].mean())
        assert entry["n_seeds"] == 3 and entry["covers"] == "seeds and examples"


def test_it_is_json_without_nan(summary):
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_systems_stand_in_the_order_of_the_settings(summary):
    assert list(summary["systems"]) == ["unified", "crossattn", "hybrid", "chance", "majority", "blind"]
    assert summary["systems"]["blind"]["kind"] == "baseline" and summary["systems"]["hybrid"]["kind"] == "system"


def test_kinds_and_the_change_of_the_text_loss_are_derived(run_dir, summary):
    scores = pd.read_parquet(run_dir / "scores.parquet")
    rows = scores[(scores["system"] == "hybrid") & (scores["metric"] == "vqa_accuracy")]
    second = rows[rows["example_id"].str.endswith("-1")]["score"].mean()
    metrics = summary["systems"]["hybrid"]["metrics"]
    assert metrics["vqa_accuracy/count"]["mean"] == pytest.approx(second)
    assert summary["systems"]["unified"]["metrics"]["text_loss_change"]["mean"] == pytest.approx(0.05)
    assert metrics["text_loss_change"]["mean"] == pytest.approx(0.0)


def test_bleu_is_made_from_the_predictions(summary):
    entry = summary["systems"]["unified"]["metrics"]["bleu_4"]
    assert entry["mean"] == pytest.approx(1.0, abs=0.05) and entry["covers"] == "seeds only"
    assert "bleu_4" not in summary["pairs"]


def test_what_was_matched_is_measured_and_flagged(summary):
    entries = {entry["quantity"]: entry for entry in summary["matching"]}
    assert entries["budget_spent"]["difference"] == pytest.approx(0.0152) and entries["budget_spent"]["flagged"]
    assert entries["parameters_trainable"]["flagged"] and not entries["parameters_total"]["flagged"]
    assert entries["flops"]["difference"] == pytest.approx(1 / 0.8 - 1)


def test_failed_and_waiting_cells_are_kept_apart(make_run):
    run = load_run(make_run(failed=[("hybrid", 0), ("hybrid", 1), ("hybrid", 2)], waiting=[("unified", 2)], images=12))
    summary = build_summary(run)
    assert summary["systems"]["hybrid"]["metrics"] == {}
    assert "out of memory" in summary["systems"]["hybrid"]["cells"]["0"]["reason"]
    assert summary["systems"]["unified"]["metrics"]["vqa_accuracy"]["n_seeds"] == 2
    assert {pair["system_b"] for pair in summary["pairs"]["cider_d"]} == {"crossattn", "chance", "majority", "blind"}


def test_an_unfinished_run_is_read_from_its_cells(make_run):
    path = make_run(images=12)
    whole = pd.read_parquet(path / "scores.parquet")
    part = whole[(whole["system"] == "unified") & (whole["seed"] == 0)]
    part.to_parquet(path / "cells" / "unified" / "seed0" / "scores.parquet")
    for name in ("scores.parquet", "predictions.parquet", "latency.json", "examples.json", "data.json", "probe.json"):
        (path / name).unlink()
    summary = build_summary(load_run(path))
    assert summary["systems"]["unified"]["metrics"]["cider_d"]["covers"] == "examples only"
    assert summary["systems"]["crossattn"]["metrics"] == {}


def test_a_cut_last_line_of_a_log_is_no_error(make_run):
    path = make_run(images=6)
    log = path / "cells" / "unified" / "seed0" / "log.jsonl"
    whole = len(load_run(path).cells[0].log)
    log.write_text(log.read_text() + '{"step": 9')
    assert len(load_run(path).cells[0].log) == whole > 0


def test_bad_folders_are_named(tmp_path, make_run):
    with pytest.raises(UserError, match="give runs/NAME"):
        load_run(tmp_path / "nothing")
    path = make_run(images=6)
    (path / "data.json").write_text("{")
    with pytest.raises(UserError, match=r"data\.json"):
        load_run(path)
    shutil.rmtree(path / "cells")
    (path / "cells").mkdir()
    (path / "data.json").write_text("{}")
    with pytest.raises(UserError, match="no cells"):
        load_run(path)


def test_chance_stands_beside_every_seed(summary):
    pair = next(p for p in summary["pairs"]["vqa_accuracy"] if (p["system_a"], p["system_b"]) == ("hybrid", "chance"))
    assert pair["n_seeds"] == 3 and np.isfinite(pair["p"])
