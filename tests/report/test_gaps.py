"""Whatever is missing, failed or no number: the report is built, and says so in words."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from mmbench.report import build_report, numbers
from mmbench.report.pages import write_document
from mmbench.report.run_data import load_run
from mmbench.report.summary import build_summary

ALL = ("unified", "crossattn", "hybrid")
TRIALS = [
    {"number": 0, "state": "complete", "value": 0.5, "params": {"training.learning_rate": 0.001}, "reason": None},
    {"number": 1, "state": "pruned", "value": None, "params": {}, "reason": None},
    {"number": 2, "state": "failed", "value": None, "params": {}, "reason": "out of memory $x$ #1"},
]
SPENT = {"flops": 1e12, "samples": 100, "device_s": 61.0, "trials": 3}


def edit(path, change):
    scores = pd.read_parquet(path / "scores.parquet")
    change(scores).to_parquet(path / "scores.parquet")


def spoil(path, value, seeds=(1,)):
    """Turn a system's CIDEr-D of some seeds into ``value``."""

    def change(scores):
        rows = (scores["system"] == "unified") & scores["seed"].isin(seeds) & (scores["metric"] == "cider_d")
        return scores.assign(score=np.where(rows, value, scores["score"]))

    edit(path, change)


def alike(path):
    def change(scores):
        twin = scores[scores["system"] == "unified"].assign(system="crossattn")
        return pd.concat([scores[scores["system"] != "crossattn"], twin])

    edit(path, change)


def one_example(path):
    edit(path, lambda s: s[s["cluster_id"] == "i0"].drop_duplicates(["system", "seed", "metric"]))


def drop(path, system, metric):
    edit(path, lambda s: s[~((s["system"] == system) & (s["metric"] == metric))])


def lose_cell(path):
    shutil.rmtree(path / "cells" / "hybrid" / "seed1")
    edit(path, lambda s: s[~((s["system"] == "hybrid") & (s["seed"] == 1))])


def lose_baselines(path):
    """As a kill leaves it: blind's third seed and all of the majority are yet to come."""
    shutil.rmtree(path / "cells" / "blind" / "seed2")
    shutil.rmtree(path / "cells" / "majority")
    edit(path, lambda s: s[~((s["system"] == "majority") | ((s["system"] == "blind") & (s["seed"] == 2)))])


def begin_another_seed(path):
    """A seed that was added, of which one system has begun."""
    shutil.copytree(path / "cells" / "hybrid" / "seed1", path / "cells" / "hybrid" / "seed3")


def match(path):
    """As ``--match params`` leaves it: the largest system, one that follows it, and one that cannot."""
    shared = {"target": 2_310_000, "reason": "", "said": ""}
    follows = shared | {"option": "feed_forward", "width": 213, "count": 2_309_000, "deviation": -0.000433}
    why = "family 'hybrid' has no width that could be moved"
    said = f"hybrid is not matched, -13.4%: {why}"
    cannot = shared | {
        "option": "",
        "width": None,
        "count": 2_000_000,
        "deviation": -0.134,
        "reason": why,
        "said": said,
    }
    systems = {
        "unified": shared | {"option": "layers", "width": None, "count": 2_310_000, "deviation": 0.0},
        "crossattn": follows,
        "hybrid": cannot,
    }
    content = {"match": "params", "counts": "parameters", "systems": systems}
    (path / "matching.json").write_text(json.dumps(content))


def tune(path, **systems):
    content = {"trials": 3, "metric": "vqa_accuracy", "direction": "maximize", "sampler": "tpe", "systems": systems}
    (path / "tuning.json").write_text(json.dumps(content))


def tuned(path):
    states = {"complete": 1, "pruned": 1, "failed": 1}
    found = {"best": {"training.learning_rate": 0.00123}, "value": 0.5, "states": states}
    none = {"best": {}, "value": None, "states": {"complete": 0, "pruned": 0, "failed": 1}}
    tune(
        path,
        unified=found | {"ledger": SPENT, "trials": TRIALS},
        crossattn=none | {"ledger": SPENT | {"trials": 1}, "trials": TRIALS[2:]},
    )


def empty_study(path):
    tune(path)
    shutil.rmtree(path / "cells")
    for name in ("scores.parquet", "scores_composition.parquet", "predictions.parquet", "latency.json"):
        (path / name).unlink()


def look(path, decided, looks, alpha=0.05):
    content = {"pair": ["unified", "crossattn"], "metric": "vqa_accuracy", "alpha": alpha, "max_seeds": 6}
    (path / "looks.json").write_text(json.dumps(content | {"reason": None, "looks": looks, "decided": decided}))


LOOKS = [
    {"seeds": 2, "p": 0.2, "level": 0.011, "difference": -0.02, "ci_low": -0.1, "ci_high": 0.06},
    {"seeds": 3, "p": 0.004, "level": 0.017, "difference": -0.05, "ci_low": -0.09, "ci_high": -0.01},
]
NO_LOOK = [{"seeds": 1, "p": None, "level": 0.01, "difference": None, "ci_low": None, "ci_high": None}]

CASES = {
    "a NaN": ({}, lambda p: spoil(p, np.nan), ["No numbers: unified", "8 of CIDEr-D, seed 1", "left out"]),
    "infinity": ({}, lambda p: spoil(p, np.inf), ["No numbers: unified", "8 of CIDEr-D, seed 1"]),
    "all NaN": ({}, lambda p: spoil(p, np.nan, (0, 1, 2)), ["unified has no such score", "not measured"]),
    "identical": ({}, alike, ["have the same score on every example"]),
    "one example": ({}, one_example, ["share no seed or too few images to be compared"]),
    "a metric missing": ({}, lambda p: drop(p, "hybrid", "vqa_accuracy"), ["hybrid has no such score", "not measured"]),
    "a cell missing": ({}, lose_cell, ["Not finished: hybrid seed 1"]),
    "cells of baselines missing": ({}, lose_baselines, ["Not finished: majority seed 0 and blind seed 2."]),
    "an added seed begun": (
        {},
        begin_another_seed,
        ["Not finished: unified seed 3, crossattn seed 3, chance seed 3 and blind seed 3."],
    ),
    "one seed": ({"seeds": 1}, lambda p: None, ["over examples only", "One seed:"]),
    "no questions": ({"questions": False}, lambda p: None, ["not applicable (the data has no questions)"]),
    "all failed": (
        {"failed": [(name, seed) for name in ALL for seed in range(3)]},
        lambda p: edit(p, lambda s: s[~s["system"].isin(ALL)]),
        ["No two systems have been scored yet", "Failed: unified, seeds 0, 1 and 2: out of memory"],
    ),
    "sizes made equal": (
        {},
        match,
        [
            "Matched before training, within 1% of the largest system: the parameters.",
            "unified as it is: 2,310,000 (0.00%).",
            f"crossattn by feed_forward=213: 2,309,000 ({numbers.MINUS}0.04%).",
            "Sizes: hybrid is not matched, -13.4%: family 'hybrid' has no width that could be moved.",
        ],
    ),
    "tuning": (
        {},
        tuned,
        [
            "Each system was tuned first: 3 trials of the same search (tpe) for high VQA accuracy",
            "Not tuned: no trial of crossattn completed (1 failed)",
            "Not tuned: hybrid has no trials",
            "Uneven tuning: the systems had from 1 to 3 trials",
            "unified: 1 of 3 trials pruned",
            "unified: trial 2 failed: out of memory $x$ #1",
            "learning_rate 0.00123",
        ],
    ),
    "an empty study": ({}, empty_study, ["Not tuned: unified has no trials", "No two systems have been scored yet"]),
    "decided": (
        {},
        lambda p: look(p, True, LOOKS),
        ["decided at look 2, with 3 seeds", "repeated 95% interval 1.0 to 9.0", "at a look with level 0.017"],
    ),
    "decided by a weak alpha": (
        {},
        lambda p: look(p, True, LOOKS, alpha=0.2),
        [
            "an alpha of 0.2, too much to call them told apart at the report's 0.05",
            "Repeated 80% interval",
            "the interval of unified and crossattn is the repeated 80% interval of its looks",
        ],
    ),
    "decided by a strong alpha": (
        {},
        lambda p: look(p, True, LOOKS, alpha=0.005),
        ["all looks together with an alpha of 0.005.", "repeated 99.5% interval 1.0 to 9.0, p = 0.004 at a look"],
    ),
    "undecided": ({}, lambda p: look(p, False, LOOKS), ["not decided by then (2 looks, the last with 3 seeds)"]),
    "a look at nothing": ({}, lambda p: look(p, False, NO_LOOK), ["not decided by then (1 looks"]),
    "no look": ({}, lambda p: look(p, False, []), ["no look was taken"]),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_said(make_run, tmp_path, name):
    options, change, expected = CASES[name]
    path = make_run(images=8, pictures=False, **options)
    change(path)
    said = words_of(path, tmp_path / "made")
    for words in expected:
        assert words in said
    assert " nan" not in said and "None" not in said and " inf" not in said
    assert build_report(path, tmp_path / "reports").read_bytes().startswith(b"%PDF")


def words_of(path, folder):
    """All text of the report in one line, as a reader would find it."""
    run = load_run(path)
    content = write_document(run, build_summary(run), folder).content()
    found = []

    def walk(value):
        if isinstance(value, dict):
            if "spans" in value:
                found.append("".join(span["t"] for span in value["spans"]))
            for key, each in value.items():
                if key != "spans":
                    walk(each)
        elif isinstance(value, list) and value and isinstance(value[0], dict) and set(value[0]) == {"t", "s"}:
            found.append("".join(span["t"] for span in value))
        elif isinstance(value, list):
            for each in value:
                walk(each)
        elif isinstance(value, str):
            found.append(value)

    walk(content["blocks"])
    return " ".join(found).replace("\N{NO-BREAK SPACE}", " ")


def test_a_look_changes_its_pair_alone(make_run):
    path = make_run(images=8)
    plain = build_summary(load_run(path))["pairs"]["vqa_accuracy"]
    look(path, True, LOOKS)
    looked = build_summary(load_run(path))["pairs"]["vqa_accuracy"]
    changed = [(a["system_a"], a["system_b"]) for a, b in zip(plain, looked, strict=True) if a != b]
    assert changed == [("unified", "crossattn")]
    row = next(pair for pair in looked if pair["system_b"] == "crossattn" and pair["system_a"] == "unified")
    assert (row["ci_low"], row["ci_high"], row["distinguishable"]) == (-0.09, -0.01, True)


@pytest.mark.parametrize(("alpha", "apart"), [(0.2, False), (0.05, True), (0.01, True)])
def test_looks_tell_a_pair_apart_only_at_the_reports_level(make_run, alpha, apart):
    path = make_run(images=6)
    look(path, True, LOOKS, alpha)
    pairs = build_summary(load_run(path))["pairs"]["vqa_accuracy"]
    assert next(pair for pair in pairs if "look_level" in pair)["distinguishable"] is apart


def test_the_tables_of_tuning_hold_every_trial(make_run, tmp_path):
    path = make_run(images=6)
    tuned(path)
    build_report(path, tmp_path)
    trials = pd.read_csv(tmp_path / "run" / "tables" / "tuning.csv")
    assert trials["state"].tolist() == ["complete", "pruned", "failed", "failed"]
    assert trials["training.learning_rate"].iloc[0] == 0.001
