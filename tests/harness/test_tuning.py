"""Searches as a user runs them: before a comparison's cells, alone, killed, with trials that fail, and for a cost."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mmbench.harness.cell import load_cell
from mmbench.harness.run_files import RunFiles, read_json
from tests.harness.comparisons import MICRO, command, compare_command, run

FAST = ("--set", "encoder.weights=random", "language_model.weights=random")
SHARE = ("--set", "tuning.budget_share=0.7")  # of so small a budget a quarter would not hold half a step of each stage


def sweep_command(folder: Path, *words: str) -> list[str]:
    """A sweep at the micro scale, from random weights."""
    return [*command(folder, "sweep", *words), "--scale", str(MICRO), "--name", "sweep", *FAST]


def tune_command(folder: Path, name: str) -> list[str]:
    return [*compare_command(folder, "--name", name, "--seeds", "1", "--tune", "3", *SHARE, "--no-latency", *FAST)]


def space_file(folder: Path, text: str) -> str:
    path = folder / "space.yaml"
    path.write_text(text)
    return str(path)


def ended_trials(files: RunFiles) -> dict[str, tuple[dict[str, Any], int]]:
    """What each trial that has ended holds, and when it was written."""
    cells = {trial.key: (trial.read(), trial.cell.stat().st_mtime_ns) for trial in files.trials() if trial.read()}
    return {key: found for key, found in cells.items() if found[0]["status"] in ("done", "pruned", "failed")}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    """``runs/tuned``: two systems and the blind baseline, three trials each, one seed."""
    folder = tmp_path_factory.mktemp("tuned")
    run(tune_command(folder, "tuned"))
    return RunFiles(folder / "runs" / "tuned")


@pytest.mark.slow
def test_every_system_gets_the_same_search(tuned: RunFiles) -> None:
    found = read_json(tuned.tuning)
    assert found["trials"] == 3 and found["budget"] == "336samples" and found["direction"] == "minimize"
    assert list(found["systems"]) == ["unified", "crossattn", "blind"]
    tried = [[trial["params"] for trial in one["trials"]] for one in found["systems"].values()]
    assert tried[0] == tried[1] == tried[2]  # the first trials: the recipe, then draws of one seed
    for system, one in found["systems"].items():
        assert sum(one["states"].values()) == 3 == one["ledger"]["trials"]
        finished = [trial for trial in one["trials"] if trial["state"] == "complete"]
        assert one["value"] == min(trial["value"] for trial in finished)
        assert one["best"] == finished[[trial["value"] for trial in finished].index(one["value"])]["params"]
        spent = [tuned.trial(system, number).read()["ledger"]["flops"] for number in range(3)]
        assert one["ledger"]["flops"] == pytest.approx(sum(spent))


@pytest.mark.slow
def test_cells_train_by_the_best_values_wherever_they_are_opened(tuned: RunFiles) -> None:
    for system, one in read_json(tuned.tuning)["systems"].items():
        cell = tuned.cell(system, 0)
        assert cell.read()["values"] == one["best"]
        lines = [json.loads(line) for line in cell.log.read_text().splitlines()]
        peak = max(line.get("learning_rate", 0.0) for line in lines)
        factor = 1.0 if system == "blind" else 0.2  # the log has the first group's rate, which is the encoder's
        assert peak == pytest.approx(factor * one["best"]["training.learning_rate"], rel=0.1)
        ledger = cell.read()["ledger"]
        assert ledger["tuning"] == 3 and ledger["tuning_flops"] == one["ledger"]["flops"] > 0
        _, opened, _ = load_cell(cell.root)
        assert opened.settings.training.learning_rate == one["best"]["training.learning_rate"]


@pytest.mark.slow
def test_trials_see_the_validation_split_alone(tuned: RunFiles) -> None:
    for trial in tuned.trials():
        assert trial.seed == 1000
        tables = sorted(path.name for path in trial.root.glob("*.parquet"))
        if trial.read()["status"] == "done":
            assert tables == ["predictions.parquet", "scores_validation.parquet"]
            assert set(pd.read_parquet(trial.predictions)["split"]) == {"validation"}
        else:
            assert tables == []
        assert not trial.weights.exists() and not trial.checkpoint.exists()


@pytest.mark.slow
def test_each_trial_is_a_child_run_in_mlflow(tuned: RunFiles) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tuned.runs_dir / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mmbench")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    trials = {str(one.info.run_name): one for one in runs if one.data.tags["mmbench.kind"] == "trial"}
    assert len(trials) == 9 and all("mlflow.parentRunId" in one.data.tags for one in trials.values())
    best = read_json(tuned.tuning)["systems"]["unified"]
    shown = trials[f"unified trial {best['trial']}"]
    assert float(shown.data.params["tuned.training.learning_rate"]) == best["best"]["training.learning_rate"]
    assert shown.data.metrics["validation/loss"] == best["value"]


@pytest.mark.slow
def test_killed_in_a_trial_and_continued_loses_and_repeats_none(tuned: RunFiles, tmp_path: Path) -> None:
    words = tune_command(tmp_path, "tuned")
    files = RunFiles(tmp_path / "runs" / "tuned")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CI": "true"}
    kept: dict[str, Any] = {}
    # Each time in the middle of a trial: once it has begun to train, and more have ended than the last time.
    for num_ended in (0, 3):
        process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            training = [trial for trial in files.trials() if trial.read().get("status") == "training"]
            if training and len(ended_trials(files)) >= num_ended:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not files.tuning.exists() and training
        assert {key: found for key, found in ended_trials(files).items() if key in kept} == kept
        kept = ended_trials(files)
    run(words)
    assert {key: found for key, found in ended_trials(files).items() if key in kept} == kept
    whole, continued = (read_json(one.tuning)["systems"] for one in (tuned, files))
    for system, one in whole.items():
        assert [trial["number"] for trial in continued[system]["trials"]] == [0, 1, 2]
        assert continued[system]["best"] == one["best"] and continued[system]["value"] == one["value"]
    scores = [pd.read_parquet(one.scores()) for one in (tuned, files)]
    pd.testing.assert_frame_equal(*scores, check_exact=True)


@pytest.mark.slow
def test_a_sweep_goes_on_with_more_trials_and_says_what_failed(tmp_path: Path) -> None:
    space = space_file(tmp_path, "training.learning_rate: {kind: categorical, choices: [0.001, 1.0e+30]}\n")
    words = ["unified", "--space", space, "--sampler", "random", "--pruner", "none"]
    run(sweep_command(tmp_path, *words, "--trials", "1"))
    files = RunFiles(tmp_path / "runs" / "sweep")
    before = ended_trials(files)
    ended = run(sweep_command(tmp_path, *words, "--trials", "6"))
    after = ended_trials(files)
    assert len(after) == 6 and {key: after[key] for key in before} == before
    (one,) = read_json(files.sweep)["systems"].values()
    assert one["best"] == {"training.learning_rate": 0.001} and one["trial"] == 0
    assert one["states"]["failed"] >= 1 and sum(one["states"].values()) == 6
    failed = [trial for trial in one["trials"] if trial["state"] == "failed"]
    assert all("not finite" in trial["reason"] and trial["spent"]["flops"] > 0 for trial in failed)
    table = pd.read_csv(files.trials_table)
    assert list(table["number"]) == list(range(6))
    assert set(table.loc[table["state"] == "failed", "training.learning_rate"]) == {1e30}
    assert "Failed: unified, trial" in ended.stdout and "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.slow
def test_a_search_in_which_nothing_finishes(tmp_path: Path) -> None:
    space = space_file(tmp_path, "training.learning_rate: {kind: float, low: 1.0e+29, high: 1.0e+30}\n")
    ended = run(sweep_command(tmp_path, "unified", "--space", space, "--trials", "2"), check=False)
    assert ended.returncode == 2 and "no trial finished: the loss is not finite" in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    words = compare_command(tmp_path, "--name", "none", "--seeds", "1", "--tune", "2", *SHARE, "--space", space, *FAST)
    ended = run([*words, "--no-latency"])
    assert "unified trains by the recipe as it stands: no trial finished" in ended.stdout
    files = RunFiles(tmp_path / "runs" / "none")
    (note,) = {one["note"].split(";")[0][:19] for one in read_json(files.tuning)["systems"].values()}
    assert note == "no trial finished: "
    assert files.cell("unified", 0).read()["status"] == "done"


@pytest.mark.slow
@pytest.mark.parametrize("cost", ["flops", "parameters", "latency"])
def test_quality_against_cost(tmp_path: Path, cost: str) -> None:
    space = space_file(tmp_path, "system.options.every: {kind: int, low: 1, high: 2}\n")
    words = ["crossattn", "--space", space, "--cost", cost, "--sampler", "random", "--trials", "4"]
    ended = run(sweep_command(tmp_path, *words))
    (one,) = read_json(RunFiles(tmp_path / "runs" / "sweep").sweep)["systems"].values()
    points = {trial["number"]: (trial["value"], trial["cost"]) for trial in one["trials"]}
    dominated = {
        number
        for number, (value, price) in points.items()
        for other, (better, cheaper) in points.items()
        if other != number and better <= value and cheaper <= price and (better, cheaper) != (value, price)
    }
    assert set(one["front"]) == set(points) - dominated
    if cost != "latency":
        by_every = {trial["params"]["systems.crossattn.options.every"]: trial["cost"] for trial in one["trials"]}
        assert by_every[1] > by_every[2]
    assert cost in ended.stdout


@pytest.mark.slow
def test_two_commands_share_a_study_through_one_storage(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CI": "true"}
    commands = [
        sweep_command(tmp_path / name, "unified", "--trials", "6", "--jobs", "1", "--storage", url) for name in "ab"
    ]
    both = [
        subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for words in commands
    ]
    said = [one.communicate(timeout=300)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    runs = [RunFiles(tmp_path / name / "runs" / "sweep") for name in "ab"]
    numbers = [{trial.number for trial in files.trials()} for files in runs]
    assert not numbers[0] & numbers[1] and numbers[0] | numbers[1] == set(range(6))
    records = [read_json(files.sweep)["systems"]["unified"] for files in runs]
    assert records[0] == records[1] and sum(records[0]["states"].values()) == 6
    assert len({json.dumps(trial["params"]) for trial in records[0]["trials"]}) == 6
