import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from mmbench.config.errors import UserError
from mmbench.data.locking import build_once


def _slowly(target: str, log: str) -> None:
    def build(path: Path) -> None:
        with open(log, "a") as file:
            file.write("built\n")
        path.write_text("half")
        time.sleep(0.3)
        path.write_text("whole")

    build_once(Path(target), build)


def _and_hang(target: str, started: str) -> None:
    def build(path: Path) -> None:
        path.mkdir()
        (path / "part").write_text("half")
        Path(started).touch()
        time.sleep(60)

    build_once(Path(target), build)


def test_two_processes_build_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    target, log = tmp_path / "cache" / "thing", tmp_path / "log"
    workers = [context.Process(target=_slowly, args=(str(target), str(log))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert log.read_text() == "built\n"
    assert target.read_text() == "whole"


def test_a_killed_build_leaves_nothing_that_counts(tmp_path: Path) -> None:
    target, started = tmp_path / "thing", tmp_path / "started"
    worker = multiprocessing.get_context("fork").Process(target=_and_hang, args=(str(target), str(started)))
    worker.start()
    while not started.exists():
        time.sleep(0.01)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    assert not target.exists()
    build_once(target, lambda path: path.mkdir())
    assert list(target.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        build_once(tmp_path / "file" / "thing", lambda path: path.mkdir())
