"""A system's study: shared by two processes, interrupted, pruned, tried again, empty, and with two objectives."""

import math
import multiprocessing
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from mmbench.config.errors import UserError
from mmbench.config.tuning import TuningSettings
from mmbench.harness.study import Study, open_storage

SPACE: dict[str, Any] = {
    "training.learning_rate": {"kind": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "system.options.every": {"kind": "int", "low": 1, "high": 8},
    "system.options.connector": {"kind": "categorical", "choices": ["linear", "mlp"]},
}
FIRST = {"training.learning_rate": 0.01, "system.options.every": 9, "system.options.connector": "mlp"}


def study(folder: Path, owner: str = "one", grace_s: int = 120, exclusive: bool = False, **changed: Any) -> Study:
    tuning = TuningSettings(**{"trials": 4, "space": SPACE, **changed})
    storage = open_storage(f"sqlite:///{folder / 'study.db'}", grace_s)
    return Study(storage, "run/a", SPACE, FIRST, tuning, num_marks=5, owner=owner, exclusive=exclusive)


def loss_of(values: dict[str, Any]) -> float:
    return abs(math.log10(values["training.learning_rate"]) + 2.5) + values["system.options.every"] / 10


def finish(one: Study) -> list[int]:
    """Run trials until there are no more, as a parent does."""
    numbers = []
    while (asked := one.ask()) is not None:
        numbers.append(asked.number)
        one.tell(asked.number, "done", [loss_of(asked.values)], {"flops": 1.0}, None)
    return numbers


def _work(folder: Path, owner: str, num_trials: int) -> None:
    finish(study(folder, owner, trials=num_trials))


def test_two_processes_share_a_study_without_a_duplicate_and_lose_none(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    # Both make the tables and the study, from nothing, at the same moment.
    workers = [context.Process(target=_work, args=(tmp_path, owner, 30)) for owner in ("one", "two")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    trials = study(tmp_path, trials=30).counted()
    assert len(trials) == 30 and {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert {trial.user_attrs["owner"] for trial in trials} == {"one", "two"}
    assert len({tuple(trial.params.items()) for trial in trials}) == 30
    for trial in trials:
        assert trial.value == loss_of(trial.params)


def _hang(folder: Path) -> None:
    one = study(folder, "dead", grace_s=2)
    one.ask()
    one.ask()
    (folder / "began").touch()
    time.sleep(600)


def test_trials_of_a_killed_process_are_tried_again_by_the_other(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_hang, args=(tmp_path,))
    process.start()
    while not (tmp_path / "began").exists():
        time.sleep(0.05)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    other = study(tmp_path, "alive", grace_s=2)
    assert other.mine() == []
    assert finish(other) == [2, 3]
    time.sleep(3)
    other.take_over()
    other.take_over()  # a second look, or a second process, tries nothing again twice
    assert finish(other) == [4, 5]
    trials = {trial.number: trial for trial in other.counted()}
    assert sorted(trials) == [2, 3, 4, 5]
    lost = {trial.number: trial.params for trial in other.trials()}
    assert trials[4].params == lost[0] and trials[5].params == lost[1]
    assert {trial.state for trial in trials.values()} == {TrialState.COMPLETE}


def test_a_parent_that_comes_back_finds_its_trials(tmp_path: Path) -> None:
    asked = study(tmp_path).ask()
    again = study(tmp_path)
    assert again.mine() == [asked]
    assert study(tmp_path, "two").mine() == []
    assert asked is not None
    again.tell(asked.number, "done", [1.0], {}, None)
    again.tell(asked.number, "done", [2.0], {}, None)  # killed after telling: telling again changes nothing
    assert again.mine() == [] and again.counted()[0].value == 1.0


def test_killed_between_making_a_trial_and_naming_its_owner(tmp_path: Path) -> None:
    one = study(tmp_path, exclusive=True)
    one._study.ask()
    assert one.mine() == []
    assert finish(one) == [1, 2, 3, 4]
    assert len(one.counted()) == 4


def test_an_interrupted_search_draws_what_an_uninterrupted_one_draws(tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    finish(study(tmp_path / "whole", trials=14))
    for _ in range(14):
        after_a_kill = study(tmp_path / "parts", trials=14)
        asked = after_a_kill.ask()
        assert asked is not None
        after_a_kill.tell(asked.number, "done", [loss_of(asked.values)], {}, None)
    draws = [[trial.params for trial in study(tmp_path / name).trials()] for name in ("whole", "parts")]
    assert len(draws[0]) == 14 and draws[0] == draws[1]


def test_the_recipe_is_the_first_trial_where_it_lies_in_the_space(tmp_path: Path) -> None:
    asked = study(tmp_path).ask()
    assert asked is not None
    assert asked.values["training.learning_rate"] == 0.01 and asked.values["system.options.connector"] == "mlp"
    assert 1 <= asked.values["system.options.every"] <= 8


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "nsga2", "random"])
def test_every_sampler_by_name(tmp_path: Path, sampler: str) -> None:
    one = study(tmp_path, sampler=sampler, trials=12)
    assert finish(one) == list(range(12))
    best = one.best()
    assert best is not None and best.value == min(trial.value for trial in one.trials())


@pytest.mark.parametrize("metric", ["validation_loss", "cider_d"])
@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_trial_that_falls_behind_is_pruned(tmp_path: Path, pruner: str, metric: str) -> None:
    one = study(tmp_path, pruner=pruner, metric=metric, trials=20)
    states = []
    for loss in [1.0, 1.1, 1.2, 1.3] * 2:
        asked = one.ask()
        assert asked is not None
        # The later, the worse: every loss is above those of all trials before.
        losses = [loss + asked.number - mark / 10 for mark in range(1, 6)]
        stopped = any(one.falls_behind(asked.number, mark, value) for mark, value in enumerate(losses, start=1))
        one.tell(asked.number, "pruned" if stopped else "done", None if stopped else [loss], {}, None)
        states.append(stopped)
    assert not states[0] and any(states)
    assert {trial.state for trial in one.trials() if states[trial.number]} == {TrialState.PRUNED}


def test_no_pruner_stops_nothing_and_a_loss_that_is_none_neither(tmp_path: Path) -> None:
    one = study(tmp_path, pruner="none", trials=9)
    for number in range(8):
        one.ask()
        assert not one.falls_behind(number, 1, float(number))
    (tmp_path / "median").mkdir()
    median = study(tmp_path / "median")
    median.ask()
    assert not median.falls_behind(0, 1, None)


def test_a_failed_trial_says_why_and_is_tried_again_as_often_as_asked(tmp_path: Path) -> None:
    one = study(tmp_path, retries=1, trials=2)
    asked = one.ask()
    assert asked is not None
    one.tell(asked.number, "failed", None, {"flops": 5.0}, "the loss is not finite")
    again = one.ask()
    assert again is not None and again.number == 1 and again.values == asked.values
    one.tell(again.number, "failed", None, {}, "the loss is not finite")
    assert finish(one) == [2]
    first, *counted = one.trials()
    assert first.user_attrs["reason"] == "the loss is not finite" and first.user_attrs["spent"] == {"flops": 5.0}
    assert [trial.number for trial in one.counted()] == [trial.number for trial in counted] == [1, 2]


def test_a_retry_beyond_the_trials_asked_for_is_not_waited_for(tmp_path: Path) -> None:
    one = study(tmp_path, retries=1, trials=3)
    for status in ("done", "done", "failed"):
        assert one.under_way()
        asked = one.ask()
        assert asked is not None and one.under_way()
        one.tell(asked.number, status, [1.0], {}, None)
    assert one.under_way(), "the retry is to be begun"
    fewer = study(tmp_path, retries=1, trials=2)
    assert fewer.ask() is None and not fewer.under_way()


def test_an_empty_study_has_no_best(tmp_path: Path) -> None:
    one = study(tmp_path)
    assert one.best() is None and one.front() == []
    asked = one.ask()
    assert asked is not None
    one.tell(asked.number, "failed", None, {}, "out of memory")
    assert one.best() is None and one.front() == []


def test_the_front_of_two_objectives(tmp_path: Path) -> None:
    one = study(tmp_path, metric="cider_d", cost="flops", pruner="none", sampler="nsga2")
    for values in ([0.5, 10.0], [0.7, 20.0], [0.6, 30.0], [0.7, 25.0]):
        asked = one.ask()
        assert asked is not None
        one.tell(asked.number, "done", values, {}, None)
    assert [trial.number for trial in one.front()] == [0, 1]
    best = one.best()
    assert best is not None and best.number == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("study.db", "is not understood"),
        ("nosuch://host/db", "is not understood"),
        ("postgresql+nosuch://a:secret@host/db", "is not understood"),
        ("sqlite:////no/such/folder/study.db", "does not answer"),
    ],
)
def test_a_storage_that_cannot_be_opened(url: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmbench.harness.study._TRIES", 1)
    with pytest.raises(UserError, match=words) as error:
        open_storage(url)
    assert "secret" not in str(error.value)


def test_a_storage_of_another_version_of_optuna(tmp_path: Path) -> None:
    study(tmp_path)
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute("update alembic_version set version_num = 'v0.9.0.a'")
    with pytest.raises(UserError, match="cannot be used: The runtime optuna version"):
        study(tmp_path)


def test_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    finish(study(tmp_path))
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == optuna.logging.ERROR
    with sqlite3.connect(tmp_path / "study.db") as database:
        assert database.execute("select count(*) from trials").fetchone() == (4,)
