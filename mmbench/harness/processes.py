"""Tasks in processes of their own: a crash, a lack of memory or a kill ends one task, never the comparison."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from mmbench.config.errors import UserError

_POLL_S = 0.1


@dataclass
class Outcome:
    """How a task ended."""

    error: Exception | None = None
    """None if it went well; a `UserError` as it was raised, anything else as `TaskFailedError`."""


class TaskFailedError(Exception):
    """A task ended by an exception or a signal.

    Args:
        reason: why, in one line.
        details: the traceback, for the run's ``errors.log``.
    """

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(reason, details)
        self.reason, self.details = reason, details

    def __str__(self) -> str:
        return self.reason


@dataclass
class Task:
    """A function of a module, with arguments that can be pickled."""

    function: Callable[..., None]
    """Runs in the other process."""
    arguments: tuple[Any, ...] = ()
    """What it is called with."""
    slot: int = -1
    """Which of the places side by side it runs in; set when it starts."""


class Processes:
    """Runs tasks side by side, each in a process of its own.

    The processes are forked from a server that has imported torch and Lightning once, before any thread or
    accelerator was started: a task then starts in milliseconds. When the parent dies, however it dies, its tasks end
    too.

    Args:
        devices_per_task: GPUs of one task; slot i sees GPUs i * n … only. 0: tasks see what there is.
    """

    def __init__(self, devices_per_task: int = 0) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["mmbench.harness.preload"])
        self._devices_per_task = devices_per_task

    def run(
        self,
        tasks: Iterable[Task],
        num_slots: int,
        watch: Callable[[], None] = lambda: None,
        ended: Callable[[int, Outcome], None] = lambda index, outcome: None,
    ) -> list[Outcome]:
        """Run all tasks, ``num_slots`` at a time, in order.

        On an exception in the caller (Ctrl-C) the running tasks are ended before it goes on.

        Args:
            tasks: what is run; each is taken when there is a place for it, so that it may depend on how others ended.
            num_slots: how many side by side.
            watch: called several times a second meanwhile.
            ended: called with a task's number and outcome when it ends.
        """
        outcomes: list[Outcome] = []
        waiting: Iterator[Task] | None = iter(tasks)
        running: dict[int, _Running] = {}
        try:
            while waiting is not None or running:
                while waiting is not None and len(running) < num_slots:
                    task = next(waiting, None)
                    if task is None:
                        waiting = None
                        break
                    index = len(outcomes)
                    outcomes.append(Outcome())
                    task.slot = min(set(range(num_slots)) - {other.task.slot for other in running.values()})
                    running[index] = self._start(task)
                for index in [i for i, process in running.items() if process.ended()]:
                    outcomes[index] = running.pop(index).outcome()
                    ended(index, outcomes[index])
                watch()
                time.sleep(_POLL_S)
        finally:
            for process in running.values():
                process.end()
        return outcomes

    def _start(self, task: Task) -> "_Running":
        receiver, sender = self._context.Pipe(duplex=False)
        first = task.slot * self._devices_per_task
        visible = ",".join(str(first + i) for i in range(self._devices_per_task))
        process = self._context.Process(target=_work, args=(task, sender, visible), daemon=False)
        process.start()
        sender.close()
        return _Running(task, process, receiver)


@dataclass
class _Running:
    task: Task
    process: Any
    receiver: Connection

    def ended(self) -> bool:
        return not self.process.is_alive()

    def end(self) -> None:
        self.process.kill()
        self.process.join()

    def outcome(self) -> Outcome:
        self.process.join()
        with contextlib.suppress(EOFError):  # raised where the task said nothing: it went well, or died
            return Outcome(pickle.loads(self.receiver.recv_bytes()))
        code = self.process.exitcode
        if code == 0:
            return Outcome()
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = ": the machine may be out of memory" if name == "SIGKILL" else ""
            return Outcome(TaskFailedError(f"its process was ended by {name}{hint}"))
        return Outcome(TaskFailedError(f"its process ended with code {code}"))


def _work(task: Task, sender: Connection, visible_devices: str) -> None:
    """In the new process: run the task, and tell the parent how it ended if it did not end well."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its tasks itself.
    _end_with_parent()
    if visible_devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible_devices
    try:
        task.function(*task.arguments)
    except Exception as error:
        told = error if isinstance(error, UserError | TaskFailedError) else failure_of(error)
        sender.send_bytes(pickle.dumps(told))
    sender.close()


def failure_of(error: BaseException) -> TaskFailedError:
    """An exception as one line (its kind, what it says, where it was raised) and its traceback."""
    text = " ".join(str(error).split())[:500]
    places = traceback.extract_tb(error.__traceback__)
    where = f" ({os.path.basename(places[-1].filename)}:{places[-1].lineno})" if places else ""
    return TaskFailedError(f"{type(error).__name__}: {text}{where}", "".join(traceback.format_exception(error)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
