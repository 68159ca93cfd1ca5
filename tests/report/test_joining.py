"""Runs become one report where their settings agree, and a line says what differs where they do not."""

import json
import shutil

import pandas as pd
import pytest
import yaml

from mmbench.config.errors import UserError
from mmbench.report import build_report
from mmbench.report.joined_text import joining_notes
from mmbench.report.joining import join_runs
from mmbench.report.run_data import load_run
from mmbench.report.scaling_text import scaling_sentences
from mmbench.report.summary import build_summary, study_summary
from mmbench.report.text import plain


def change(path, **settings):
    content = yaml.safe_load((path / "comparison.yaml").read_text())
    (path / "comparison.yaml").write_text(yaml.safe_dump(content | settings, sort_keys=False))
    return path


def change_json(path, name, **values):
    (path / name).write_text(json.dumps(json.loads((path / name).read_text()) | values))
    return path


@pytest.fixture
def two(make_run):
    return [make_run("first", systems=["unified"], images=8), make_run("second", systems=["hybrid"], images=8)]


def joined(paths):
    return join_runs([load_run(path) for path in paths], "both")


def test_different_systems_at_one_budget_are_one_table(two, tmp_path):
    (run,) = joined(two)
    assert run.systems == ["unified", "hybrid"] and run.baselines == ["chance", "majority", "blind"]
    summary = build_summary(run)
    pairs = {(pair["system_a"], pair["system_b"]) for pair in summary["pairs"]["vqa_accuracy"]}
    assert ("unified", "hybrid") in pairs and len(pairs) == 10
    assert [(part["name"], part["systems"]) for part in summary["joined"]] == [
        ("first", ["unified", "chance", "majority", "blind"]),
        ("second", ["hybrid"]),
    ]
    blind = pd.read_parquet(two[0] / "scores.parquet").query("system == 'blind' and metric == 'vqa_accuracy'")
    assert summary["systems"]["blind"]["metrics"]["vqa_accuracy"]["mean"] == pytest.approx(blind["score"].mean())
    pdf = build_report(two, tmp_path / "reports")
    assert pdf.name == "first+second.pdf"
    written = json.loads((tmp_path / "reports" / "first+second" / "summary.json").read_text())
    assert list(written["systems"])[:2] == ["unified", "hybrid"] and not (two[0] / "summary.json").exists()


def test_examples_show_the_answers_of_all_runs(two):
    (run,) = joined(two)
    predictions = pd.read_parquet(two[1] / "predictions.parquet")
    wanted = run.examples[1]
    mine = predictions[(predictions["system"] == "hybrid") & (predictions["seed"] == 0)]
    mine = mine[(mine["task"] == wanted["task"]) & (mine["example_id"] == wanted["example_id"])]
    assert wanted["answers"].get("hybrid") == (mine["prediction"].iloc[0] if len(mine) else None)
    assert "unified" in wanted["answers"]


def keep_seeds(path, *seeds):
    """What is left of a run had it been run with these seeds alone."""
    scores = pd.read_parquet(path / "scores.parquet")
    scores.loc[scores["system"] == "majority", "seed"] = seeds[0]
    scores[scores["seed"].isin(seeds)].to_parquet(path / "scores.parquet")
    majority = path / "cells" / "majority"
    (majority / "seed0").rename(majority / f"seed{seeds[0]}")
    for folder in (path / "cells").glob("*/seed*"):
        if int(folder.name.removeprefix("seed")) not in seeds:
            shutil.rmtree(folder)
    return change(path, seeds=list(seeds))


@pytest.fixture
def halves(make_run):
    """Two runs of one system, with seeds 0 and 1 and with 2 and 3."""
    first = make_run("first", systems=["unified"], images=8, seeds=2)
    return [first, keep_seeds(make_run("second", systems=["unified"], images=8, seeds=4), 2, 3)]


def test_further_seeds_of_a_system_join(halves):
    (run,) = joined(halves)
    assert [cell.seed for cell in run.cells_of("unified")] == [0, 1, 2, 3]
    rows = run.scores["test"].query("system == 'unified' and metric == 'cider_d'")
    assert rows["seed"].nunique() == 4 and not rows.duplicated(["seed", "example_id"]).any()


def test_the_majority_of_two_runs_stands_beside_every_seed(halves):
    (run,) = joined(halves)
    assert [cell.seed for cell in run.cells_of("majority")] == [0]
    pairs = build_summary(run)["pairs"]["cider_d"]
    against = next(pair for pair in pairs if (pair["system_a"], pair["system_b"]) == ("unified", "majority"))
    assert against["n_seeds"] == 4


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: change_json(path, "data.json", fingerprint="ff" * 32), "the data's fingerprint differs"),
        (lambda path: change_json(path, "data.json", tokenizer_hash="ff" * 32), "the tokenizer differs"),
        (lambda path: change(path, image_size=64), r"image_size differs \(48 and 64\)"),
        (lambda path: change(path, evaluation={"max_caption_tokens": 8}), "evaluation"),
        (lambda path: change(path, training={"learning_rate": 0.1}), "training"),
        (lambda path: change(path, match="params"), "the setting match differs"),
        (lambda path: change(path, budget="500steps"), "units samples and steps"),
        (lambda path: change(path, budget="40000samples"), "no system was run with two of them"),
        (lambda path: (path / "comparison.yaml").unlink(), "comparison.yaml|differs"),
        (
            lambda path: (path / "pretraining.json").write_text('[{"name": "encoder", "weights_hash": "00"}]'),
            "weights of the encoder differs",
        ),
    ],
)
def test_what_differs_is_named(two, spoil, words):
    spoil(two[1])
    with pytest.raises(UserError, match=words) as caught:
        joined(two)
    assert "\n" not in str(caught.value)
    assert "'first' and 'second'" in str(caught.value) or "comparison.yaml" in str(caught.value)


def test_what_decides_no_number_may_differ(two):
    change(two[0], evaluation={"batch_size": 8}, training={"log_every": 1}, name="a")
    change(two[1], evaluation={"batch_size": 9}, training={"log_every": 2}, name="b")
    assert len(joined(two)) == 1


def test_a_cell_twice_and_a_run_twice(make_run):
    first, second = make_run("first", images=6), make_run("second", images=6)
    with pytest.raises(UserError, match="both have the cell of 'unified', seed 0, budget 20000samples"):
        joined([first, second])
    with pytest.raises(UserError, match="'first' is given twice"):
        joined([first, first])


def test_one_name_with_two_settings(two):
    third = change(two[1], systems={"unified": {"family": "hybrid"}, "hybrid": {"family": "unified"}})
    first = change(two[0], systems={"unified": {"family": "unified"}})
    (third / "cells" / "unified" / "seed7").mkdir(parents=True)
    (third / "cells" / "unified" / "seed7" / "cell.json").write_text('{"kind": "system", "status": "done"}')
    with pytest.raises(UserError, match="the system 'unified' has other settings in each"):
        joined([first, third])


@pytest.fixture
def study(make_run):
    """Runs of two systems at three budgets, whose error falls as the budget to the power of -1/2 and -1."""
    paths = []
    for number, budget in enumerate((4000, 1000, 16000)):
        path = change(make_run(f"b{number}", systems=["unified", "hybrid"], images=8), budget=f"{budget}samples")
        scores = pd.read_parquet(path / "scores.parquet")
        for system, coefficient, power in (("unified", 10.0, 0.5), ("hybrid", 400.0, 1.0)):
            rows = (scores["system"] == system) & (scores["metric"] == "vqa_accuracy")
            scores.loc[rows, "score"] = 1 - coefficient * budget**-power * (1 + 0.001 * scores.loc[rows, "seed"])
        scores.to_parquet(path / "scores.parquet")
        paths.append(path)
    return paths


def test_the_same_systems_at_several_budgets_are_a_study(study, tmp_path):
    runs = joined(study)
    assert [run.settings["budget"] for run in runs] == ["1000samples", "4000samples", "16000samples"]
    summary = study_summary(runs, [build_summary(run) for run in runs])
    found = summary["scaling"]["metrics"]["vqa_accuracy"]
    assert {law["system"]: law["exponent"] for law in found["laws"]} == pytest.approx({"unified": 0.5, "hybrid": 1.0})
    (crossing,) = found["crossings"]
    assert crossing["crossing"] == pytest.approx(1600, rel=1e-3) and crossing["better_above"] == "hybrid"
    assert list(summary["by_budget"]) == ["1000samples", "4000samples", "16000samples"]
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert build_report(study, tmp_path, name="study") == tmp_path / "study.pdf"
    names = {path.name for path in (tmp_path / "study" / "figures").iterdir()}
    assert {"scaling.svg", "scaling.csv", "scaling.pdf"} <= names
    assert {"scaling_laws.csv", "scaling_crossings.tex", "scaling_scores.md"} <= {
        path.name for path in (tmp_path / "study" / "tables").iterdir()
    }


def test_a_crossing_without_an_interval_says_why(study):
    runs = joined(study)
    summary = study_summary(runs, [build_summary(run) for run in runs])
    found = summary["scaling"]["metrics"]["vqa_accuracy"]

    def words():
        return " ".join(plain(part) for part in dict(scaling_sentences(summary))["VQA accuracy"])

    assert "95% interval 1,600 samples to" in words()
    found["crossings"][0] |= {"ci_low": None, "ci_high": None}
    assert "not bounded: the slopes cannot be told apart" in words()
    found["points"] = [point for point in found["points"] if point["seed"] == 1]
    assert "no interval: fewer than two common seeds" in words()


def test_a_study_says_what_is_missing(study):
    scores = pd.read_parquet(study[0] / "scores.parquet")
    scores = scores[~((scores["system"] == "hybrid") & (scores["seed"] == 2))]
    perfect = (scores["system"] == "unified") & (scores["metric"] == "vqa_accuracy") & (scores["seed"] == 1)
    scores.loc[perfect, "score"] = 1.0
    scores.to_parquet(study[0] / "scores.parquet")
    runs = joined(study)
    notes = study_summary(runs, [build_summary(run) for run in runs])["scaling"]["metrics"]["vqa_accuracy"]["notes"]
    assert any("hybrid has 2 of 3 seeds at 4000" in note for note in notes)
    assert any("no law for unified: at one budget it makes no error at all" in note for note in notes)


def matched(path, width=None, target=2_000_000, reason=""):
    one = {"system": "unified", "option": "layers", "width": width, "count": 1_900_000, "target": target}
    one |= {"reason": reason, "deviation": -0.05, "said": "unified is not matched, -5.0%: no 'layers' comes closer"}
    content = {"match": "params", "counts": "parameters", "systems": {"unified": one}}
    (path / "matching.json").write_text(json.dumps(content))


def tuned(path, **best):
    (path / "tuning.json").write_text(json.dumps({"trials": 3, "systems": {"unified": {"best": best}}}))


def test_seeds_of_two_sizes_do_not_join(halves):
    matched(halves[0], width=64)
    matched(halves[1], width=64)
    assert len(joined(halves)) == 1
    matched(halves[1], width=96)
    with pytest.raises(UserError, match=r"the width that --match gave 'unified' differs \(64 and 96\)"):
        joined(halves)


def test_seeds_that_were_tuned_apart_do_not_join(halves):
    tuned(halves[0], **{"training.learning_rate": 0.001})
    with pytest.raises(UserError, match=r"was tuned to differs \(learning_rate 0.001 and the common settings\)"):
        joined(halves)
    tuned(halves[1], **{"training.learning_rate": 0.001})
    assert len(joined(halves)) == 1


def test_each_budget_may_be_tuned_by_itself(study):
    for number, path in enumerate(study):
        tuned(path, **{"training.learning_rate": 0.001 * (number + 1)})
    assert len(joined(study)) == 3


LOOKED = {"pair": ["unified", "hybrid"], "metric": "vqa_accuracy", "alpha": 0.05, "decided": True, "reason": None}
LOOKED |= {"looks": [{"seeds": 2, "p": 0.01, "level": 0.02, "difference": 0.1, "ci_low": 0.05, "ci_high": 0.15}]}


def test_looks_hold_beside_other_systems_but_not_beside_further_seeds(make_run):
    first = make_run("first", systems=["unified", "hybrid"], images=6, seeds=2)
    other = make_run("other", systems=["crossattn"], images=6, seeds=2)
    (first / "looks.json").write_text(json.dumps(LOOKED))
    (run,) = joined([first, other])
    assert run.looks == LOOKED and run.left_out == []
    further = keep_seeds(make_run("further", systems=["unified"], images=6, seeds=3), 2)
    (run,) = joined([first, further])
    assert run.looks == {} and len(run.left_out) == 1
    said = " ".join(plain(note) for note in joining_notes(run))
    assert "added seeds until unified and hybrid could be told apart" in said and "its looks are left out" in said
    pair = next(p for p in build_summary(run)["pairs"]["vqa_accuracy"] if p["system_b"] == "hybrid")
    assert "look_level" not in pair


def test_sizes_that_were_made_equal_to_different_targets(halves):
    matched(halves[0], target=2_000_000)
    matched(halves[1], target=3_000_000)
    (run,) = joined(halves)
    assert any("the targets are 2,000,000 and 3,000,000" in plain(note) for note in joining_notes(run))


def test_names_that_are_no_folder(two, tmp_path):
    for name in ("a/b", ".hidden", ".."):
        with pytest.raises(UserError, match="the report's name is"):
            build_report(two, tmp_path, name=name)


def test_runs_without_any_score_yet(make_run):
    cells = [(name, seed) for name in ("unified", "hybrid", "chance", "majority", "blind") for seed in range(3)]
    paths = [make_run(name, systems=[name], images=4, waiting=cells) for name in ("unified", "hybrid")]
    (run,) = joined(paths)
    assert list(run.scores["test"].columns)[:3] == ["system", "seed", "metric"]
    summary = build_summary(run)
    assert summary["pairs"] == {} and list(summary["systems"])[:2] == ["unified", "hybrid"]
