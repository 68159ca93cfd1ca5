"""Tasks in processes of their own: outcomes, isolation, and ends."""

import os
import signal
import time
from pathlib import Path

import pytest

from mmbench.config.errors import UserError
from mmbench.harness.processes import Processes, Task, TaskFailedError, failure_of


def _write(path: Path) -> None:
    path.write_text(str(os.getpid()))


def _raise_user_error() -> None:
    raise UserError("give another name")


def _divide() -> None:
    _ = 1 // 0


def _kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _sleep(path: Path) -> None:
    path.write_text(str(os.getpid()))
    time.sleep(60)


@pytest.fixture(scope="module")
def processes() -> Processes:
    return Processes()


def test_each_task_ends_in_its_own_way(processes: Processes, tmp_path: Path) -> None:
    work = [Task(_write, (tmp_path / "a",)), Task(_raise_user_error), Task(_divide), Task(_kill_itself)]
    ended: list[int] = []
    outcomes = processes.run(work, 2, ended=lambda index, outcome: ended.append(index))
    assert sorted(ended) == [0, 1, 2, 3]
    assert outcomes[0].error is None and int((tmp_path / "a").read_text()) != os.getpid()
    assert isinstance(outcomes[1].error, UserError) and str(outcomes[1].error) == "give another name"
    assert isinstance(outcomes[2].error, TaskFailedError) and "ZeroDivisionError" in str(outcomes[2].error)
    assert "Traceback" in outcomes[2].error.details and "\n" not in str(outcomes[2].error)
    assert "SIGKILL" in str(outcomes[3].error) and "memory" in str(outcomes[3].error)


def test_an_interruption_ends_what_runs(processes: Processes, tmp_path: Path) -> None:
    path = tmp_path / "pid"

    def watch() -> None:
        if path.exists() and path.read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        processes.run([Task(_sleep, (path,))], 1, watch)
    with pytest.raises(ProcessLookupError):
        os.kill(int(path.read_text()), 0)


def test_a_failure_says_where() -> None:
    try:
        _divide()
    except ZeroDivisionError as error:
        assert "test_processes.py:" in str(failure_of(error))
