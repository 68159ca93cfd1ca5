"""``mmbench dashboard``: MLflow's pages on the store of the runs folder."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO

from mmbench.config.errors import UserError
from mmbench.harness.tracking.store import make_sqlite_file, quiet_mlflow
from mmbench.harness.tracking.uri import sqlite_file, tracking_uri, without_password

_START_TIMEOUT_S = 90.0
_END_TIMEOUT_S = 10.0


def serve_dashboard(runs_dir: Path, host: str = "127.0.0.1", port: int = 5000) -> None:
    """Serve MLflow's pages until Ctrl-C, in one worker process; prints the address once they answer.

    Where ``MLFLOW_TRACKING_URI`` names a server, that server's address is printed and nothing is started.

    Raises:
        UserError: the port is taken or not allowed, the store cannot be opened, or its URI is malformed.
    """
    uri = tracking_uri("", runs_dir)
    if uri.startswith(("http://", "https://")):
        print(f"The runs are on the MLflow server at {without_password(uri)}: open that address.")
        return
    _check_port(host, port)
    quiet_mlflow()
    _make_store(uri, runs_dir)
    artifacts = (sqlite_file(uri) or runs_dir / "mlflow.db").resolve().parent / "mlartifacts"
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", uri, "--default-artifact-root", artifacts.as_uri(), "--no-serve-artifacts"]
    # Only pages are wanted: no processes that evaluate or run jobs for MLflow's other features.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with tempfile.TemporaryFile("w+") as log, _ended_by_terminate():
        # A session of its own: Ctrl-C comes to us alone, and we end the server and what it started together.
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            _wait_until_it_answers(server, host, port, log)
            address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
            print(f"MLflow shows the runs of {runs_dir} at {address}  (Ctrl-C ends it)", flush=True)
            code = server.wait()
            raise UserError(f"the dashboard's server ended with code {code}: {_last_line(log)}")
        except KeyboardInterrupt:
            print("ended", flush=True)
        finally:
            _end(server)


@contextlib.contextmanager
def _ended_by_terminate() -> Iterator[None]:
    """Within it a SIGTERM ends the dashboard as Ctrl-C does, so that the server never outlives it."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_port(host: str, port: int) -> None:
    try:
        with socket.socket() as probe:
            # As the server itself does: a port that was in use a moment ago may be taken again.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UserError(f"the dashboard cannot use {host}:{port} ({why}): choose another with --port") from None


def _make_store(uri: str, runs_dir: Path) -> None:
    try:
        make_sqlite_file(uri)
    except OSError as error:
        raise UserError(
            f"the dashboard's store {uri} cannot be made ({error.strerror}): run it beside {runs_dir}"
        ) from None


def _wait_until_it_answers(server: subprocess.Popen[bytes], host: str, port: int, log: IO[str]) -> None:
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/health"
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise UserError(f"the dashboard's server ended at its start: {_last_line(log)}")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.2)
    raise UserError(f"the dashboard's server does not answer after {_START_TIMEOUT_S:.0f} s: {_last_line(log)}")


def _end(server: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_END_TIMEOUT_S)


def _last_line(log: IO[str]) -> str:
    log.seek(0)
    lines = [line.strip() for line in log if line.strip()]
    return lines[-1] if lines else "it said nothing"
