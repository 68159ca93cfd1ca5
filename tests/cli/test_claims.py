"""``mmbench claims`` before anything runs: what it lists and what it refuses."""

from pathlib import Path

import pytest

from mmbench.cli.main import main


def test_the_list_says_what_runs_and_what_waits_for_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(1, 15))
    assert "crossattn, hybrid" in lines[0]
    assert "not yet: needs distillation of a trained run" in lines[11]


def test_the_list_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "5", "--list"]) == 0
    assert "MLP connector" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, message",
    [
        (["99"], "unknown claim '99'"),
        (["none.yaml"], "there is no file 'none.yaml'"),
        (["5", "--jobs", "0"], "--jobs is 0"),
        (["5", "--seeds", "0"], "--seeds is 0"),
        (["5", "--budget", "5apples"], "5apples"),
        (["5", "--scale", "tine"], "did you mean 'tiny'"),
    ],
)
def test_what_cannot_be_run_is_said_on_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--runs", str(tmp_path / "runs"), "--reports", str(tmp_path / "reports")]
    assert main(["claims", *words, *folders]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.glob("*/*"))


def test_claims_that_all_wait_leave_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["--runs", str(tmp_path / "runs"), "--reports", str(tmp_path / "reports")]
    assert main(["claims", "9", "12", *folders]) == 0
    assert "not yet" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "reports").iterdir()} == {"claims.md", "claims.csv", "claims.json"}
