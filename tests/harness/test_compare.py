"""A whole comparison, run as a user runs it; what it leaves, and that nothing is lost or done twice."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mmbench.config.load import load_settings_file
from mmbench.harness.compare import planned_cells
from mmbench.harness.run_files import RunFiles, read_json
from mmbench.metrics import bleu, cider_d, exact_match, vqa_accuracy
from mmbench.report.run_data import load_run
from mmbench.report.summary import build_summary
from tests.harness.comparisons import command, compare_command, run
from tests.harness.micro_systems import micro_settings

SYSTEMS = ["unified", "crossattn", "chance", "majority", "blind"]


def test_every_baseline_runs_with_the_seeds_that_change_it() -> None:
    cells = planned_cells(micro_settings(["unified"], seeds=2))
    assert cells == [("chance", 0), ("chance", 1), ("majority", 0)] + [
        (system, seed) for seed in (0, 1) for system in ("unified", "blind")
    ]


def test_every_cell_is_done_and_spent_its_budget(finished: RunFiles) -> None:
    cells = {(c.system, c.seed): c.read() for c in finished.cells()}
    assert set(cells) == set(planned_cells(load_settings_file(finished.comparison)))
    for (system, _), cell in cells.items():
        assert cell["status"] == "done"
        if system not in ("chance", "majority"):
            ledger = cell["ledger"]
            step = ledger["samples"] / ledger["steps"]
            assert abs(ledger["budget_spent"] - 480) <= max(4.8, step / 2)
            assert ledger["flops"] > 0 and ledger["peak_memory_bytes"] > 0


def test_scores_are_per_example_and_complete(finished: RunFiles) -> None:
    scores = pd.read_parquet(finished.scores())
    assert list(scores.columns) == ["system", "seed", "metric", "example_id", "cluster_id", "score"]
    assert set(scores["system"]) == set(SYSTEMS)
    assert not scores.duplicated(["system", "seed", "metric", "example_id"]).any()
    captions = scores[(scores["system"] == "unified") & (scores["seed"] == 1) & (scores["metric"] == "cider_d")]
    assert len(captions) == 20
    assert scores["score"].notna().all()
    assert len(pd.read_parquet(finished.scores("composition"))) > 0


SCORED: dict[str, tuple[str, Callable[..., dict[str, float]]]] = {
    "caption": ("cider_d", lambda said, references: cider_d(references, said)),
    "answer": ("vqa_accuracy", vqa_accuracy),
    "choose": ("choice_accuracy", exact_match),  # its one reference is the right choice
}
"""Task -> its metric, and what makes the scores of what was said and of the references."""


def test_scores_follow_from_the_predictions(finished: RunFiles) -> None:
    scores = pd.read_parquet(finished.scores()).set_index(["system", "seed", "metric", "example_id"])["score"]
    predictions = pd.read_parquet(finished.predictions)
    for (system, seed, task), rows in predictions[predictions["split"] == "test"].groupby(["system", "seed", "task"]):
        said = dict(zip(rows["example_id"], rows["prediction"], strict=True))
        references = {i: list(r) for i, r in zip(rows["example_id"], rows["references"], strict=True)}
        metric, score_again = SCORED[task]
        for example, score in score_again(said, references).items():
            stored = scores[system, seed, metric, example]
            if task != "choose" or stored in (0, 1):  # between: choices that tie share, and only the first is noted
                assert stored == pytest.approx(score, abs=1e-12)


def test_reported_numbers_follow_from_the_tables(finished: RunFiles) -> None:
    """Means from the per-example scores, BLEU from the predictions: what the report states is nothing else."""
    reported = build_summary(load_run(finished.root))["systems"]
    scores = pd.read_parquet(finished.scores())
    means = scores.groupby(["system", "metric", "seed"])["score"].mean()
    for (system, metric, seed), mean in means.items():
        assert reported[system]["metrics"][metric]["per_seed"][str(seed)] == pytest.approx(mean, abs=1e-12)
    for (system, metric), mean in means.groupby(["system", "metric"]).mean().items():
        assert reported[system]["metrics"][metric]["mean"] == pytest.approx(mean, abs=1e-12)
    predictions = pd.read_parquet(finished.predictions)
    captions = predictions[(predictions["split"] == "test") & (predictions["task"] == "caption")]
    for (system, seed), rows in captions.groupby(["system", "seed"]):
        references = {i: list(r) for i, r in zip(rows["example_id"], rows["references"], strict=True)}
        score = bleu(references, dict(zip(rows["example_id"], rows["prediction"], strict=True))).corpus[3]
        assert reported[system]["metrics"]["bleu_4"]["per_seed"][str(seed)] == score
    # Nothing else is reported but what is derived example by example: by kind of question, and the loss's change.
    stated = {metric for system in reported.values() for metric in system["metrics"]}
    derived = {metric for metric in stated if metric.startswith(("vqa_accuracy/", "exact_match/", "choice_accuracy/"))}
    assert stated - derived - set(scores["metric"]) == {"bleu_4", "text_loss_change"}


def test_collapsed_retrieval_is_exactly_chance(finished: RunFiles) -> None:
    scores = pd.read_parquet(finished.scores())
    for system in ("chance", "majority", "blind"):
        for k in (1, 5, 10):
            of = scores[(scores["system"] == system) & (scores["metric"] == f"text_to_image_recall@{k}")]
            assert of["score"].to_numpy() == pytest.approx(k / 20)


def test_all_systems_start_from_the_same_weights(finished: RunFiles) -> None:
    parts = read_json(finished.pretraining)
    assert [part["name"] for part in parts] == ["encoder", "language_model"]
    scores = pd.read_parquet(finished.scores())
    before = scores[scores["metric"] == "text_loss_before"].pivot_table(
        index="example_id", columns=["system", "seed"], values="score"
    )
    assert (before.nunique(axis=1) == 1).all() and before.shape[1] == 6


def test_latency_of_every_system_and_size(finished: RunFiles) -> None:
    latency = read_json(finished.latency)
    assert latency["complete"]
    rows = pd.DataFrame(latency["rows"])
    assert set(rows["system"]) == {"unified", "crossattn"}
    assert set(rows["batch_size"]) == {1, 2} and set(rows["image_size"]) == {32, 64}
    assert (rows["p50"] > 0).all() and (rows["p95"] >= rows["p50"]).all()


def test_a_finished_comparison_is_not_run_again(finished: RunFiles) -> None:
    before = {path: path.stat().st_mtime_ns for cell in finished.cells() for path in cell.root.rglob("*")}
    run(compare_command(finished.runs_dir.parent, "--name", "done", "--seeds", "2"))
    assert before == {path: path.stat().st_mtime_ns for cell in finished.cells() for path in cell.root.rglob("*")}


def test_the_saved_settings_repeat_the_run(finished: RunFiles, tmp_path: Path) -> None:
    shutil.copytree(finished.runs_dir / "pretraining", tmp_path / "runs" / "pretraining")
    run([*command(tmp_path, "compare"), "--scale", str(finished.comparison), "--name", "again", "--no-report"])
    again = RunFiles(tmp_path / "runs" / "again")
    _assert_same_tables(finished, again)


def test_other_settings_under_the_same_name_are_refused(finished: RunFiles) -> None:
    ended = run(compare_command(finished.runs_dir.parent, "--name", "done", "--seeds", "1"), check=False)
    assert ended.returncode == 2
    assert "made with other settings" in ended.stderr and "seeds" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_trained_cell_can_be_scored_again(finished: RunFiles) -> None:
    ended = run([*command(finished.runs_dir.parent)[:3], "evaluate", str(finished.cell("unified", 0).root)])
    scores = pd.read_parquet(finished.cell("unified", 0).scores())
    assert f"{100 * scores[scores['metric'] == 'vqa_accuracy']['score'].mean():.1f}" in ended.stdout


def test_one_mlflow_parent_with_a_child_for_each_cell(finished: RunFiles) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{finished.runs_dir / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mmbench")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    children = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    assert len(children) == len(finished.cells())
    assert len(runs) - len(children) == 1


def test_a_failing_cell_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    ended = run(
        compare_command(
            tmp_path, "--name", "broken", "--seeds", "1", "--no-latency", "--set", "training.learning_rate=1e30"
        ),
        check=False,
    )
    run_files = RunFiles(tmp_path / "runs" / "broken")
    cells = {c.system: c.read() for c in run_files.cells()}
    assert cells["unified"]["status"] == "failed" and "not finite" in cells["unified"]["reason"]
    assert cells["majority"]["status"] == "done"
    assert ended.returncode == 0 and "Traceback" not in ended.stderr


@pytest.mark.slow
def test_killed_three_times_and_continued_equals_uninterrupted(finished: RunFiles, tmp_path: Path) -> None:
    words = compare_command(tmp_path, "--name", "done", "--seeds", "2")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CI": "true"}
    draws = random.Random(int(time.time()))
    kills = 0
    while kills < 3:
        process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(draws.uniform(4, 14))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    run(words)
    assert kills > 0
    continued = RunFiles(tmp_path / "runs" / "done")
    _assert_same_tables(finished, continued)
    for cell in continued.cells():
        steps = [json.loads(line)["step"] for line in _training_lines(cell.log)]
        assert steps == sorted(set(steps))


def _training_lines(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if '"loss"' in line] if log.exists() else []


def _assert_same_tables(one: RunFiles, other: RunFiles) -> None:
    for path in (one.scores(), one.scores("composition"), one.predictions):
        pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(other.root / path.name), check_exact=True)


def test_settings_of_the_run_are_all_resolved(finished: RunFiles) -> None:
    saved = yaml.safe_load(finished.comparison.read_text())
    assert saved["language_model"]["width"] == 32
    assert saved["systems"]["crossattn"]["options"]["every"] == 2
