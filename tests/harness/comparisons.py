"""Running comparisons of seconds from the command line, as a user does."""

import os
import subprocess
import sys
from pathlib import Path

MICRO = Path(__file__).with_name("micro.yaml")
"""The scale of these tests."""


def command(folder: Path, *words: str) -> list[str]:
    """``mmbench WORDS`` with its folders in ``folder``."""
    return [sys.executable, "-m", "mmbench", *words, "--runs", str(folder / "runs")]


def compare_command(folder: Path, *words: str) -> list[str]:
    """A comparison of two systems at the micro scale, without report."""
    return command(folder, "compare", "unified", "crossattn", "--scale", str(MICRO), "--no-report", *words)


def run(words: list[str], check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is in the error of a failed assertion."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CI": "true"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert not check or ended.returncode == 0, ended.stdout + ended.stderr
    return ended
