"""The background thread that keeps MLflow in step with a run's files."""

import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from mmbench.config.settings import TrackingSettings
from mmbench.harness.run_files import RunFiles
from mmbench.harness.tracking.sender import Sender
from mmbench.harness.tracking.uri import tracking_uri, without_password

_LONGEST_WAIT_S = 60.0


class MlflowMirror:
    """Shows a comparison in MLflow: one parent run for ever, one child run a cell, all read from the run's files.

    It lives in the parent process of a comparison, in a thread of low priority, so that no training step waits for
    it. Whatever is not sent (the store away, the process killed) is sent by the next mirror of the same run. Only
    the holder of the run's lock may start one.

    Args:
        run: the run whose files are mirrored.
        settings: store and experiment.
        warn: takes the one line that is said when the store is away; the standard error output if not given.
        interval_s: pause between two looks at the files.

    Raises:
        UserError: the tracking URI is malformed.
    """

    def __init__(
        self,
        run: RunFiles,
        settings: TrackingSettings,
        warn: Callable[[str], None] | None = None,
        interval_s: float = 3.0,
    ) -> None:
        self.enabled = settings.enabled
        self.uri = tracking_uri(settings.uri, run.runs_dir) if settings.enabled else ""
        self._sender = Sender(run, self.uri, settings.experiment, self._warn_once)
        self._warn = warn or (lambda text: print(text, file=sys.stderr))
        self._said: set[str] = set()
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._all_sent = False

    def start(self) -> None:
        """Begin to mirror; returns at once."""
        if not self.enabled or self._thread is not None:
            return
        self._stop.clear()
        self._all_sent = False
        # A daemon: a store that hangs must never keep the command from ending.
        self._thread = threading.Thread(target=self._work, name="mlflow-mirror", daemon=True)
        self._thread.start()

    def log_report(self, path: Path) -> None:
        """Keep the report, a file or a folder, as an artifact of the parent run; the thread sends it."""
        self._sender.add_report(path.resolve())

    def stop(self, timeout_s: float = 30.0) -> bool:
        """Send the rest and end the thread; whether everything was sent. Returns after ``timeout_s`` at the latest."""
        if self._thread is None:
            return True
        self._stop.set()
        self._thread.join(timeout_s)
        ended, self._thread = not self._thread.is_alive(), None
        if not ended:
            self._warn_once("slow", "it is too slow to wait for")
        return ended and self._all_sent

    def catch_up(self, timeout_s: float = 30.0) -> bool:
        """Send what earlier commands could not, and end; whether everything was sent."""
        self.start()
        return self.stop(timeout_s)

    def _work(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            # Linux gives each thread its own priority: the cells' processes come first.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        wait_s = self._interval_s
        while True:
            stopping = self._stop.is_set()
            try:
                self._sender.send(last=stopping)
                wait_s, self._all_sent = self._interval_s, stopping
            except Exception as error:  # a mirror never ends a run, whatever a store answers
                self._warn_once("away", _first_line(error))
                wait_s = min(_LONGEST_WAIT_S, wait_s * 2)
            if stopping:
                return
            self._stop.wait(wait_s)

    def _warn_once(self, kind: str, reason: str) -> None:
        if kind in self._said or ("away" in self._said and kind == "slow"):
            return
        self._said.add(kind)
        what = {
            "away": "does not answer: the run goes on, and what is missing there is sent later",
            "slow": "did not take everything in time: the next command on this run sends the rest",
        }.get(kind, f"refused {kind}, which stands in the run's files only")
        self._warn(f"warning: MLflow at {without_password(self.uri)} {what} ({reason})")


def _first_line(error: Exception) -> str:
    text = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if "ConnectionPool" in text:
        return "no connection"
    text = re.sub(r"//[^/@\s]+@", "//", text)  # an address in a message may hold a password
    return text if len(text) <= 120 else text[:119] + "…"
