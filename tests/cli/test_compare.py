"""How the options of ``compare`` and ``train`` become settings."""

import shlex
from pathlib import Path

import pytest

from mmbench.cli import compare, train
from mmbench.cli.main import build_parser
from mmbench.cli.options import settings_of, study_of
from mmbench.config.errors import UserError
from mmbench.config.load import load_settings, save_settings
from mmbench.config.settings import Settings


def asked(line: str) -> Settings:
    """The settings of a command line without the command's name."""
    return compare._asked(build_parser().parse_args(["compare", *line.split()])["compare"])


def test_options_become_settings() -> None:
    settings = asked(
        "unified b=hybrid --seeds 2 --budget 5min --name mine --set image_size=64 trainer.threads=2 "
        "--set training.learning_rate=1e-3 --latency full"
    )
    expected = load_settings(
        ["unified", "b=hybrid"],
        seeds=2,
        budget="5min",
        name="mine",
        overrides=["image_size=64", "trainer.threads=2", "training.learning_rate=1e-3", "latency.full=true"],
    )
    assert settings == expected


def test_options_may_stand_before_the_systems() -> None:
    assert asked("--seeds 2 --set image_size=64 --scale tiny unified hybrid") == asked(
        "unified hybrid --scale tiny --set image_size=64 --seeds 2"
    )


def test_no_options_are_the_defaults_of_the_scale() -> None:
    assert asked("unified crossattn hybrid") == load_settings(["unified", "crossattn", "hybrid"])


def test_latency_can_be_left_out() -> None:
    assert asked("unified --no-latency").latency.repeats == 0
    assert asked("unified --latency basic") == asked("unified")


def test_a_run_is_resumed_with_its_own_settings(tmp_path: Path) -> None:
    settings = load_settings(["unified"], seeds=5, name="mine", overrides=["image_size=64"])
    save_settings(settings, tmp_path / "mine" / "comparison.yaml")
    arguments = build_parser().parse_args(["compare", "--resume", "mine", "--runs", str(tmp_path)])["compare"]
    assert compare._resumed(arguments) == settings
    (tmp_path / "mine").rename(tmp_path / "moved")
    arguments = build_parser().parse_args(["compare", "--resume", "moved", "--runs", str(tmp_path)])["compare"]
    assert compare._resumed(arguments).name == "moved"


@pytest.mark.parametrize("seed", [0, 7])
def test_train_is_a_comparison_of_one_cell(seed: int) -> None:
    arguments = build_parser().parse_args(["train", "b=unified", "--seed", str(seed)])["train"]
    settings = settings_of(arguments, [arguments.system], more_overrides=(f"seeds=[{arguments.seed}]",))
    assert list(settings.systems) == ["b"]
    assert settings.seeds == [seed]
    assert callable(train.run)


@pytest.mark.parametrize("options", ["", "--runs 'my runs' --reports out --no-report"])
def test_the_command_that_continues_is_understood_and_finds_the_run(
    options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started = build_parser().parse_args(["compare", "unified", *shlex.split(options)])["compare"]
    settings = compare._asked(started)
    save_settings(settings, Path(started.runs) / settings.name / "comparison.yaml")
    words = shlex.split(compare.continuing(settings.name, started))
    again = build_parser().parse_args(words[1:])["compare"]
    assert compare._resumed(again) == settings
    assert (again.runs, again.reports, again.no_report) == (started.runs, started.reports, started.no_report)


def study(line: str) -> list[Settings]:
    """The runs of a command line without the command's name."""
    return study_of(build_parser().parse_args(["compare", *shlex.split(line)])["compare"], compare._asked)


def test_several_amounts_are_one_run_each() -> None:
    runs = study("unified crossattn --budget 1e13,3e13flops --name mine --match params")
    assert [(run.name, run.budget) for run in runs] == [
        ("mine-1e13flops", "1e13flops"),
        ("mine-3e13flops", "3e13flops"),
    ]
    assert all(run.match == "params" and list(run.systems) == ["unified", "crossattn"] for run in runs)


def test_a_study_of_more_amounts_goes_on_with_the_runs_of_one_with_fewer() -> None:
    few, more = study("unified --budget 1,2epochs"), study("unified --budget 1,2,4epochs")
    assert [run.name for run in few] == [run.name for run in more[:2]]
    assert few[0].name.startswith("unified-") and few[0].name.endswith("-1epochs")
    assert study("hybrid --budget 1,2epochs")[0].name != few[0].name
    assert study("unified --budget 1epoch --name one")[0].name == "one"


def test_one_amount_and_several_cannot_both_be_given() -> None:
    with pytest.raises(UserError, match="leave one out"):
        study("unified --budget 1,2epochs --set budget=4epochs")
    with pytest.raises(UserError, match="compare and plan alone"):
        arguments = build_parser().parse_args(["train", "unified", "--budget", "1,2epochs"])["train"]
        settings_of(arguments, [arguments.system])


def test_a_report_that_would_replace_its_run_is_refused_before_anything_trains(tmp_path: Path) -> None:
    words = ["compare", "unified", "--name", "mine", "--runs", str(tmp_path), "--reports", str(tmp_path)]
    with pytest.raises(UserError, match="replace the run"):
        compare.run(build_parser().parse_args(words)["compare"])
    assert not (tmp_path / "mine").exists()
