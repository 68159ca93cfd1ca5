"""The command line as a user meets it: exit codes, one-line errors, and no heavy import before a command runs."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mmbench
from mmbench.cli.main import build_parser, describe_os_error, main
from mmbench.config.load import load_settings, save_settings

HEAVY = ("torch", "lightning", "mlflow", "pandas", "matplotlib", "rich", "transformers", "timm", "scipy")


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line that a refused command prints."""
    assert main(list(argv)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("mmbench: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_nothing_heavy_is_imported_before_a_command_runs() -> None:
    program = (
        "import sys, mmbench.cli.main as m\n"
        "m.build_parser()\n"
        "assert m.main(['list', 'systems']) == 0\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_python_m_mmbench_passes_the_exit_code_on() -> None:
    done = subprocess.run([sys.executable, "-m", "mmbench", "frobnicate"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("mmbench: error: ") and "frobnicate" in done.stderr
    assert "Traceback" not in done.stderr
    version = subprocess.run([sys.executable, "-m", "mmbench", "--version"], capture_output=True, text=True)
    assert version.stdout.strip() == f"mmbench {mmbench.__version__}"


@pytest.mark.parametrize("command", ["compare", "train", "evaluate", "report", "dashboard", "data", "list", "score"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        build_parser().parse_args([command, "--help"])
    assert stopped.value.code == 0
    assert f"mmbench [options] {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "no command is given"),
        ("frobnicate", "invalid choice: 'frobnicate'"),
        ("compare", "no system is named"),
        ("compare unifid", "did you mean 'unified'?"),
        ("compare unified --frob", "unrecognized arguments: --frob"),
        ("compare unified --seed 3", "unrecognized arguments: --seed"),
        ("compare unified --seeds x", "--seeds: expected a whole number, got x"),
        ("compare unified --seeds 0", "at least 1"),
        ("compare unified --jobs 0", "--jobs is 0"),
        ("compare unified --budget 12", "budget '12' is not understood"),
        ("compare unified --set image_size", "write KEY=VALUE"),
        ("compare unified --set image_siz=3", "did you mean 'image_size'?"),
        ("compare unified --data no/such", "there is no data at 'no/such'"),
        ("compare unified --latency slow", "invalid choice: 'slow'"),
        ("compare unified --latency full --no-latency", "leave one out"),
        ("compare unified --resume x", "leave SYSTEM out"),
        ("compare --resume x --set a=1", "leave --set out"),
        ("compare --resume x --seeds 2", "leave --seeds out"),
        ("train", "error: system is missing"),
        ("train unified --seed -1", "--seed is -1"),
        ("train unified crossattn", "unrecognized arguments: crossattn"),
        ("evaluate no/cell", "'no/cell' is not a trained cell"),
        ("dashboard --port 0", "between 1 and 65535"),
        ("data", "no action is given"),
        ("data check", "error: path is missing"),
        ("data check scene", "did you mean 'scenes'?"),
        ("data check no/such", "there is no data at 'no/such'"),
        ("list colours", "invalid choice: 'colours'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    line: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *line.split())
    assert list(tmp_path.iterdir()) == [], "a refused command leaves nothing behind"


def test_runs_are_named_when_one_is_not_found(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "holds no runs yet" in refused(capsys, "report", "first")
    save_settings(load_settings(["unified"], name="first"), tmp_path / "runs" / "first" / "comparison.yaml")
    assert "did you mean 'first'?" in refused(capsys, "report", "frist")
    assert "did you mean 'first'?" in refused(capsys, "compare", "--resume", "frist")
    save_settings(load_settings(["unified"], name="x"), tmp_path / "elsewhere" / "x" / "comparison.yaml")
    assert "--runs elsewhere" in refused(capsys, "compare", "--resume", "elsewhere/x")


def test_a_malformed_comparison_cannot_be_resumed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "comparison.yaml").write_text("a: [\n")
    line = refused(capsys, "compare", "--resume", "broken", "--runs", str(tmp_path))
    assert "malformed YAML" in line and "line 2" in line


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert "is a file" in refused(capsys, "compare", "unified", "--runs", str(file))
    assert "cannot be written to" in refused(capsys, "compare", "unified", "--runs", str(file / "below"))
    runs = str(tmp_path / "runs")
    assert "cannot be written to" in refused(capsys, "compare", "unified", "--runs", runs, "--reports", str(file / "x"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    assert "no write permission" in refused(capsys, "compare", "unified", "--runs", str(closed / "runs"))


def test_what_the_system_refuses_is_said_in_words() -> None:
    denied = PermissionError(errno.EACCES, "Permission denied", "runs/x")
    assert describe_os_error(denied) == "no write permission: runs/x"
    full = OSError(errno.ENOSPC, "No space left on device", "runs/x")
    assert describe_os_error(full) == "No space left on device: runs/x"
    assert describe_os_error(OSError(errno.ENOSPC, "No space left on device")) == "No space left on device"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "mmbench", "list", "systems"], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 141, "what a shell reports for a command whose reader has gone"


@pytest.mark.parametrize(("kind", "name"), [("systems", "unified"), ("data", "scenes"), ("scales", "tiny")])
def test_list_names_what_can_be_given(kind: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    described = [line for line in lines if line.startswith(f"{name} ")]
    assert len(described) == 1
    assert len(described[0].split()) > 3, "each name comes with a description"
