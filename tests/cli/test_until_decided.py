"""How ``compare --until-decided`` becomes settings."""

from pathlib import Path

import pytest

from mmbench.cli import compare
from mmbench.cli.main import build_parser, main
from mmbench.config.deciding import DecidingSettings
from mmbench.config.settings import Settings


def asked(line: str) -> Settings:
    """The settings of a command line without the command's name."""
    return compare._asked(build_parser().parse_args(["compare", *line.split()])["compare"])


def test_options_become_settings() -> None:
    given = asked("unified hybrid --until-decided hybrid unified --max-seeds 7 --decide-on cider_d --seeds 4")
    assert given.deciding == DecidingSettings(["hybrid", "unified"], "cider_d", 7)
    assert given.seeds == [0, 1, 2, 3], "the first look"
    assert asked("unified --until-decided unified blind").deciding == DecidingSettings(["unified", "blind"])
    assert asked("unified").deciding == DecidingSettings(), "no seed is added unless it is asked for"


def test_a_run_that_adds_seeds_is_another_run() -> None:
    assert asked("unified hybrid").name != asked("unified hybrid --until-decided unified hybrid").name


@pytest.mark.parametrize(
    "line, message",
    [
        ("unified --max-seeds 3", "name two systems by it"),
        ("unified --decide-on cider_d", "name two systems by it"),
        ("unified --until-decided unified", "expected 2 arguments"),
        ("unified hybrid --until-decided unified hybrid --seeds 2 --decide-on cider_f", "did you mean 'cider_d'"),
        ("unified hybrid --until-decided unified hybrid --seeds 2 --decide-on validation_loss", "metric to decide on"),
        ("--resume x --until-decided a b", "leave --until-decided out"),
    ],
)
def test_what_makes_no_sense_is_refused(
    line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *line.split()]) == 2
    assert message in capsys.readouterr().err
