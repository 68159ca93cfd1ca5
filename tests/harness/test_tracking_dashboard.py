"""The dashboard serves MLflow's page and API on a run's store, ends with all it started, and says what is wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from mmbench.config.errors import UserError
from mmbench.harness.dashboard import serve_dashboard
from mmbench.harness.tracking.store import Store
from mmbench.harness.tracking.uri import tracking_uri

_SERVE = (
    "import sys; from pathlib import Path; from mmbench.harness.dashboard import serve_dashboard\n"
    "serve_dashboard(Path(sys.argv[1]), port=int(sys.argv[2]))\n"
)


@pytest.fixture(autouse=True)
def no_configured_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ended(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_page_and_api_answer_and_a_signal_ends_all(tmp_path: Path, number: signal.Signals) -> None:
    store = Store(tracking_uri("", tmp_path), "mmbench", tmp_path / "mlartifacts")
    store.find_or_create_run({"mmbench.run": "x"}, "demo", 1, {})
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(tmp_path), str(port)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert f"http://127.0.0.1:{port}" in process.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:
            assert b"<title>MLflow</title>" in page.read()
        body = json.dumps({"experiment_ids": [store.experiment_id]}).encode()
        url = f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/search"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert [run["info"]["run_name"] for run in json.load(answer)["runs"]] == ["demo"]
        os.kill(process.pid, number)
        assert process.wait(60) == 0
        time.sleep(0.2)
        assert ended(port)
        assert process.stdout.read() == "ended\n"
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_port_in_use_is_said_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"127\.0\.0\.1:{port} .*--port"):
            serve_dashboard(tmp_path, port=port)
    with pytest.raises(UserError, match="--port"):
        serve_dashboard(tmp_path, port=99999)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where a folder is needed")
    with pytest.raises(UserError, match="cannot be made"):
        serve_dashboard(tmp_path / "runs", port=free_port())


def test_a_server_elsewhere_is_only_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example.org")
    serve_dashboard(tmp_path)
    said = capsys.readouterr().out
    assert "https://mlflow.example.org" in said and "secret" not in said
