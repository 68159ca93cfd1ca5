"""The bar is for people at a terminal who have to wait, and for nobody else."""

import os
import pty
import subprocess
import sys

import pytest

from mmbench.cli.bar import bar

PROGRAM = (
    "import sys, time\n"
    "from mmbench.cli.bar import bar\n"
    "with bar(patience_s=0.2) as progress:\n"
    "    progress('counting words', 1, 3)\n"
    "    time.sleep(float(sys.argv[1]))\n"
)


def seen_on_a_terminal(seconds: float) -> str:
    """What the program leaves on a terminal that is its stderr."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(seconds)], stderr=theirs, env=environment)
    os.close(theirs)
    assert done.returncode == 0
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # how a terminal ends whose other side is closed
        pass
    os.close(ours)
    return shown.decode()


def test_who_waits_sees_what_is_done() -> None:
    assert "counting words" in seen_on_a_terminal(1.0)


def test_who_does_not_wait_sees_nothing() -> None:
    assert seen_on_a_terminal(0.0) == ""


def test_nothing_is_written_to_a_file(capfd: pytest.CaptureFixture[str]) -> None:
    with bar(patience_s=0.0) as progress:
        progress("counting words", 1, 3)
    assert capfd.readouterr() == ("", "")
