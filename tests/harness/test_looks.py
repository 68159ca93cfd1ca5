"""Adding seeds until a pair is decided: when it stops, what it says, and that a kill changes neither."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmbench.config.deciding import DecidingSettings
from mmbench.config.errors import UserError
from mmbench.config.load import load_settings, save_settings
from mmbench.config.training import EvaluationSettings
from mmbench.harness.added_seeds import in_words, seeds_begun, seeds_of_looks
from mmbench.harness.compare import run_comparison
from mmbench.harness.looks import looks_at
from mmbench.harness.objective import check_metric
from mmbench.harness.run_files import RunFiles, read_json, write_json
from mmbench.stats import compare_systems, look_levels
from tests.harness.comparisons import MICRO, compare_command, run

FIRST = [0, 1, 2]


def scores(advantage: float, seeds: int = 6, examples: int = 40, metric: str = "cider_d") -> pd.DataFrame:
    """Two systems, ``a`` better by ``advantage``; noise of seeds and examples is 1."""
    rng = np.random.default_rng(3)
    rows = [
        ("b" if system else "a", seed, metric, f"e{example}", f"i{example}", value)
        for system in (1, 0)
        for seed in range(seeds)
        for level in [rng.normal(0, 0.3)]
        for example, value in enumerate(rng.normal(level + (0 if system else advantage), 1, examples))
    ]
    return pd.DataFrame(rows, columns=["system", "seed", "metric", "example_id", "cluster_id", "score"])


def deciding(**changes: object) -> DecidingSettings:
    return DecidingSettings(pair=["a", "b"], **{"max_seeds": 6, **changes})  # type: ignore[arg-type]


def test_a_large_difference_is_decided_at_the_first_look() -> None:
    found = looks_at(scores(3.0), deciding(), FIRST, FIRST)
    (look,) = found["looks"]
    assert found["decided"] and found["metric"] == "cider_d"
    assert look["seeds"] == 3 and look["p"] < look["level"] == look_levels([3], 6)[0]
    assert look["difference"] > 0, "the first of the pair minus the second, whatever the table's order"
    assert "decided" in in_words(found)


def test_no_difference_is_looked_at_with_every_number_of_seeds() -> None:
    table = scores(0.0)
    found = looks_at(table, deciding(), FIRST, [0, 1, 2, 3, 4, 5])
    assert [look["seeds"] for look in found["looks"]] == [3, 4, 5, 6]
    assert [look["level"] for look in found["looks"]] == look_levels([3, 4, 5, 6], 6)
    assert not found["decided"] and "not decided" in in_words(found)
    last = found["looks"][-1]
    pair = compare_systems(table, "cider_d", last["level"]).iloc[0]
    assert last["p"] == pair["p"]
    assert sorted([abs(last["ci_low"]), abs(last["ci_high"])]) == pytest.approx(
        sorted([abs(pair["ci_low"]), abs(pair["ci_high"])])
    )


def test_what_was_decided_stays_decided_with_more_seeds() -> None:
    assert looks_at(scores(3.0), deciding(), FIRST, range(6)) == looks_at(scores(3.0), deciding(), FIRST, FIRST)


def test_a_failed_cell_leaves_a_seed_out_and_no_look_twice() -> None:
    table = scores(0.0)
    without = table[~((table["system"] == "a") & (table["seed"] == 3))]
    found = looks_at(without, deciding(), FIRST, range(6))
    assert [look["seeds"] for look in found["looks"]] == [3, 4, 5]


@pytest.mark.parametrize(
    "table, reason",
    [
        (scores(1.0)[lambda t: t["system"] == "a"], "no scores of 'bleu' for a and b"),
        (scores(1.0), "no scores of 'bleu' for a and b"),
    ],
)
def test_a_metric_that_is_not_there_is_named(table: pd.DataFrame, reason: str) -> None:
    found = looks_at(table, deciding(metric="bleu"), FIRST, FIRST)
    assert found["reason"] == reason and not found["decided"]
    assert reason in in_words(found)


def test_without_a_name_the_first_metric_that_both_have_decides() -> None:
    """As of a system that answers and one that embeds: both choose."""
    answers = scores(1.0, metric="vqa_accuracy")
    choices, recall = scores(1.0, metric="choice_accuracy"), scores(1.0, metric="text_to_image_recall@5")
    both = pd.concat([answers[answers["system"] == "a"], recall[recall["system"] == "b"], choices])
    assert looks_at(both, deciding(), FIRST, FIRST)["metric"] == "choice_accuracy"


def test_no_scores_at_all_is_said() -> None:
    found = looks_at(scores(1.0).iloc[:0], deciding(), FIRST, FIRST)
    assert found["looks"] == [] and not found["decided"] and found["reason"] == "no common metric"


@pytest.mark.parametrize("table", [scores(1.0, examples=1), scores(1.0).assign(cluster_id="one")])
def test_one_image_decides_nothing(table: pd.DataFrame) -> None:
    found = looks_at(table, deciding(), FIRST, FIRST)
    assert not found["decided"] and found["looks"][0]["p"] is None
    assert "one image" in in_words(found)


def test_a_baseline_that_seeds_do_not_change_is_one_of_a_pair() -> None:
    table = scores(3.0).replace({"system": {"b": "majority"}})
    table = table[(table["system"] == "a") | (table["seed"] == 0)]
    found = looks_at(table, DecidingSettings(["majority", "a"], max_seeds=6), FIRST, FIRST)
    assert found["looks"][0]["seeds"] == 3 and found["looks"][0]["difference"] < 0 and found["decided"]


def test_one_common_seed_decides_nothing() -> None:
    table = scores(3.0)
    alone = table[(table["system"] == "b") | (table["seed"] == 0)]
    assert not looks_at(alone, deciding(), FIRST, FIRST)["decided"]


def test_a_metric_that_the_data_does_not_have_is_refused_before_anything_trains(tmp_path: Path) -> None:
    settings = load_settings(["unified", "hybrid"], scale=str(MICRO), name="one", seeds=2)
    settings.tracking.enabled = False
    settings.deciding = DecidingSettings(["unified", "hybrid"], "cider_d")
    files = RunFiles(tmp_path / "one")
    save_settings(settings, files.comparison)
    write_json(files.data, {"tasks": ["answer", "retrieve"]})
    write_json(files.stages, {})
    with pytest.raises(UserError, match="nothing that 'cider_d' could be scored on"):
        run_comparison(settings, tmp_path, jobs=1, command="")
    assert not files.probe.exists()


@pytest.mark.parametrize(
    "metric, setting",
    [
        ("reranked_text_to_image_recall@5", "evaluation.rerank=5"),
        ("vqa_accuracy_without_image", "evaluation.without_image=true"),
        ("linear_probe_accuracy", "evaluation.probe=true"),
    ],
)
def test_what_is_not_measured_as_things_are_is_refused_with_the_setting_that_does(metric: str, setting: str) -> None:
    with pytest.raises(UserError, match=setting):
        check_metric(metric, per_example=True, evaluation=EvaluationSettings(rerank=4))
    everything = EvaluationSettings(rerank=5, without_image=True, probe=True)
    check_metric(metric, per_example=True, evaluation=everything)
    with pytest.raises(UserError, match=f"nothing that '{metric}' could be scored on"):
        check_metric(metric, ["caption"], per_example=True, evaluation=everything)


def test_seeds_follow_those_that_were_given() -> None:
    assert seeds_of_looks([4, 2], 5) == [4, 2, 5, 6, 7]


def test_seeds_that_a_killed_process_began_are_gone_on_with(tmp_path: Path) -> None:
    files = RunFiles(tmp_path)
    assert seeds_begun(files, FIRST, 6) == FIRST
    files.cell("a", 4).write({"status": "training"})
    assert seeds_begun(files, FIRST, 6) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "overrides, words",
    [
        (["deciding.pair=[unified]"], "two different systems"),
        (["deciding.pair=[unified, unified]"], "two different systems"),
        (["deciding.pair=[unified, hybrid]"], "'hybrid'"),
        (["deciding.pair=[unified, crossattn]", "seeds=[0]"], "2 or more"),
        (["deciding.pair=[unified, crossattn]", "deciding.max_seeds=2"], "deciding.max_seeds"),
        (["deciding.pair=[unified, crossattn]", "deciding.alpha=1"], "between 0 and 1"),
    ],
)
def test_what_could_never_be_decided_is_refused(overrides: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words.replace("[", r"\[")):
        load_settings(["unified", "crossattn"], scale=str(MICRO), overrides=overrides)


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    """The same looks from the same cells; systems and baselines have the same seeds."""
    words = ["--seeds", "2", "--until-decided", "unified", "crossattn", "--max-seeds", "3", "--no-latency", "--set"]
    words += ["baselines=[blind]", "tracking.enabled=false"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(compare_command(whole, "--name", "a", *words))
    expected = RunFiles(whole / "runs" / "a")
    assert [look["seeds"] for look in read_json(expected.looks)["looks"]] == [2, 3]
    assert {(cell.system, cell.seed) for cell in expected.cells()} == {
        (system, seed) for system in ("unified", "crossattn", "blind") for seed in range(3)
    }
    files = RunFiles(broken / "runs" / "a")
    for sign in (files.cell("crossattn", 1).cell, files.looks, files.cell("crossattn", 2).cell):
        _kill_once_there(compare_command(broken, "--name", "a", *words), sign)
    said = run(compare_command(broken, "--name", "a", *words)).stdout
    assert "with 3 seeds" in said and "not decided" in said
    assert read_json(files.looks) == read_json(expected.looks)
    pd.testing.assert_frame_equal(pd.read_parquet(files.scores()), pd.read_parquet(expected.scores()), check_exact=True)


def _kill_once_there(words: list[str], sign: Path) -> None:
    """Run a command, and end it by SIGKILL as soon as a file exists."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CI": "true"}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not sign.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sign.exists() and process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
