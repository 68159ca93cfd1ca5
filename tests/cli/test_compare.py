"""How the options of ``compare`` and ``train`` become settings."""

import shlex
from pathlib import Path

import pytest

from mmbench.cli import compare, train
from mmbench.cli.main import build_parser
from mmbench.cli.options import settings_of
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
