"""The mirror against a real sqlite store, a store that is away, kills at any moment, and a real server."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient

from mmbench.config.errors import UserError
from mmbench.config.settings import TrackingSettings
from mmbench.harness.run_files import RunFiles, read_json
from mmbench.harness.tracking import MlflowMirror, check_tracking_uri, tracking_uri
from mmbench.harness.tracking.content import MAX_PARAMETER_LENGTH, curve_metrics, flatten, metric_name
from mmbench.harness.tracking.store import Point, Store, make_sqlite_file

SYSTEMS = ("unified", "hybrid")


@pytest.fixture(autouse=True)
def no_configured_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow takes seconds to make its tables: once for all tests but those that are about it."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    make_sqlite_file(f"sqlite:///{path}")
    return path


@pytest.fixture
def run(tmp_path: Path, empty_store: Path) -> RunFiles:
    files = RunFiles(tmp_path / "runs" / "demo")
    files.root.mkdir(parents=True)
    shutil.copy(empty_store, files.runs_dir / "mlflow.db")
    systems = {name: {"family": name, "paper": "none", "options": {"depth": 2}} for name in SYSTEMS}
    settings = {"name": "demo", "systems": systems, "budget": "100steps", "scale": "tiny", "data": {"name": "scenes"}}
    files.comparison.write_text(yaml.safe_dump(settings))
    files.command.write_text("mmbench compare unified hybrid")
    for name in SYSTEMS:
        write_log(files, name, 0, range(0, 100, 10))
        set_status(files, name, "training")
    return files


def write_log(run: RunFiles, system: str, seed: int, steps: range, mode: str = "a", delay_s: float = 0.0) -> None:
    cell = run.cell(system, seed)
    cell.root.mkdir(parents=True, exist_ok=True)
    with cell.log.open(mode) as file:
        for step in steps:
            line = {"step": step, "time_s": step / 10 + delay_s, "loss": 5.0 - step / 100, "learning_rate": 0.1}
            file.write(json.dumps(line) + "\n")
            if step % 50 == 0:
                file.write(json.dumps({"step": step, "fraction": step / 100, "validation_loss": 6.0}) + "\n")


def set_status(run: RunFiles, system: str, status: str, reason: str | None = None) -> None:
    cell = run.cell(system, 0)
    if status == "done":
        metrics = ["vqa_accuracy", "vqa_accuracy", "text_to_image_recall@5", "text_to_image_recall@5/optimistic"]
        pd.DataFrame({"metric": metrics, "score": [1.0, 0.5, 0.25, 1.0]}).to_parquet(cell.scores())
    ledger = {"samples": 6400, "flops": 1e12, "budget_unit": "steps", "deviation": None}
    described = {"system": system, "seed": 0, "kind": "system", "family": system, "paper": "none"}
    cell.write({**described, "status": status, "reason": reason, "weights_hash": "ab", "ledger": ledger})


def mirror(run: RunFiles, uri: str = "", warnings: list[str] | None = None, interval_s: float = 0.05) -> MlflowMirror:
    return MlflowMirror(run, TrackingSettings(uri=uri), None if warnings is None else warnings.append, interval_s)


def stored(run: RunFiles, uri: str = "") -> tuple[Any, dict[str, Any], MlflowClient]:
    """The parent, its children by name, and the client; fails where there is not exactly one parent."""
    client = MlflowClient(uri or f"sqlite:///{run.runs_dir / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mmbench")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parents = [found for found in runs if "mlflow.parentRunId" not in found.data.tags]
    assert len(parents) == 1
    children = [found for found in runs if found.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert len(children) == len(runs) - 1
    by_name = {str(found.info.run_name): found for found in children}
    assert len(by_name) == len(children)
    return parents[0], by_name, client


def steps(client: MlflowClient, found: Any, key: str) -> list[int]:
    return sorted(point.step for point in client.get_metric_history(found.info.run_id, key))


def test_a_finished_comparison_is_shown_whole(run: RunFiles) -> None:
    set_status(run, "unified", "done")
    set_status(run, "hybrid", "failed", "out of memory")
    report = run.root / "demo.pdf"
    report.write_bytes(b"%PDF")
    mirrored = mirror(run)
    mirrored.start()
    mirrored.log_report(report)
    assert mirrored.stop(60)
    parent, children, client = stored(run)
    assert parent.info.status == "FINISHED" and parent.info.run_name == "demo"
    assert parent.data.params["systems.unified.options.depth"] == "2"
    assert parent.data.tags["budget"] == "100steps"
    assert [file.path for file in client.list_artifacts(parent.info.run_id, "report")] == ["report/demo.pdf"]
    assert parent.data.metrics == {"vqa_accuracy/unified": 0.75, "text_to_image_recall_at_5/unified": 0.25}
    done, failed = children["unified seed 0"], children["hybrid seed 0"]
    assert (done.info.status, failed.info.status) == ("FINISHED", "FAILED")
    assert failed.data.tags["mmbench.reason"] == "out of memory"
    assert done.data.metrics["test/vqa_accuracy"] == 0.75
    assert done.data.metrics["test/text_to_image_recall_at_5"] == 0.25
    assert done.data.metrics["usage/samples"] == 6400
    assert done.data.params["family"] == "unified"
    assert steps(client, done, "train/loss") == list(range(0, 100, 10))
    assert steps(client, done, "validation/loss") == [0, 50]
    times = [point.timestamp for point in client.get_metric_history(done.info.run_id, "train/loss")]
    assert max(times) - min(times) == 9000
    assert not (Path.cwd() / "mlruns").exists()
    assert (run.runs_dir / "mlartifacts").is_dir()


def test_a_resume_continues_the_same_runs_and_sends_only_what_is_new(run: RunFiles) -> None:
    assert mirror(run).catch_up(60)
    before, children_before, _ = stored(run)
    assert before.info.status == "KILLED"
    # The resumed cell dropped the lines after its checkpoint and wrote them again, at other times.
    write_log(run, "unified", 0, range(0, 50, 10), mode="w")
    write_log(run, "unified", 0, range(50, 200, 10), delay_s=7.0)
    set_status(run, "unified", "done")
    set_status(run, "hybrid", "done")
    assert mirror(run).catch_up(60)
    after, children, client = stored(run)
    assert after.info.run_id == before.info.run_id and after.info.status == "FINISHED"
    assert {name: found.info.run_id for name, found in children.items()} == {
        name: found.info.run_id for name, found in children_before.items()
    }
    assert steps(client, children["unified seed 0"], "train/loss") == list(range(0, 200, 10))


def test_points_whose_sending_was_forgotten_are_not_there_twice(run: RunFiles) -> None:
    assert mirror(run).catch_up(60)
    state = read_json(run.tracking)
    for cell in state["cells"].values():
        cell.update(training_step=-1, validation_step=-1)
    run.tracking.write_text(json.dumps(state))
    assert mirror(run).catch_up(60)
    _, children, client = stored(run)
    assert steps(client, children["unified seed 0"], "train/loss") == list(range(0, 100, 10))


def test_the_same_points_sent_again_are_kept_once(run: RunFiles) -> None:
    store = Store(tracking_uri("", run.runs_dir), "mmbench", run.runs_dir / "mlartifacts")
    run_id, _ = store.find_or_create_run({"mmbench.run": "x"}, "x", 1, {})
    points = [Point(f"train/{key}", float(step), 1000 + step, step) for step in range(600) for key in "ab"]
    store.log_points(run_id, [*points[:300], Point("train/a", float("nan"), 5, 900)])
    store.log_points(run_id, [*points, Point("train/a", float("nan"), 5, 900)])
    client = MlflowClient(tracking_uri("", run.runs_dir))
    assert sorted(point.step for point in client.get_metric_history(run_id, "train/a")) == [*range(600), 900]
    assert store.last_step(run_id, "train/b") == 599 and store.last_step(run_id, "train/c") == -1


def test_runs_whose_ids_were_lost_are_found_again(run: RunFiles) -> None:
    assert mirror(run).catch_up(60)
    state = read_json(run.tracking)
    run.tracking.write_text(json.dumps({**state, "parent_run_id": "", "cells": {}, "sent": {}}))
    assert mirror(run).catch_up(60)
    _, children, client = stored(run)
    assert len(children) == 2
    assert steps(client, children["hybrid seed 0"], "train/learning_rate") == list(range(0, 100, 10))


def test_a_database_that_was_deleted_is_filled_anew(run: RunFiles) -> None:
    assert mirror(run).catch_up(60)
    other = RunFiles(run.runs_dir.parent / "elsewhere" / "demo")
    run.runs_dir.rename(other.runs_dir)
    (other.runs_dir / "mlflow.db").unlink()
    assert mirror(other).catch_up(60)
    _, children, client = stored(other)
    assert steps(client, children["unified seed 0"], "train/loss") == list(range(0, 100, 10))


def test_a_failed_cell_that_is_tried_again_runs_on_in_its_run(run: RunFiles) -> None:
    set_status(run, "unified", "failed", "killed")
    assert mirror(run).catch_up(60)
    set_status(run, "unified", "training")
    mirrored = mirror(run)
    mirrored.start()
    wait_for(lambda: stored(run)[1]["unified seed 0"].info.status == "RUNNING")
    set_status(run, "unified", "done")
    assert mirrored.stop(60)
    assert stored(run)[1]["unified seed 0"].info.status == "FINISHED"


def test_curves_arrive_while_the_cell_trains(run: RunFiles) -> None:
    mirrored = mirror(run)
    mirrored.start()
    wait_for(lambda: "unified seed 0" in stored_children(run))
    with run.cell("unified", 0).log.open("a") as file:
        file.write('{"step": 100, "time_s": 10.0, "lo')
        file.flush()
        time.sleep(0.2)
        file.write('ss": 1.5}\n')
    wait_for(lambda: stored_children(run)["unified seed 0"].data.metrics.get("train/loss") == 1.5)
    assert mirrored.stop(60)


def test_a_store_that_is_away_costs_one_line_and_is_caught_up_later(run: RunFiles) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    warnings: list[str] = []
    mirrored = mirror(run, f"http://me:secret@127.0.0.1:{port}", warnings)
    began = time.monotonic()
    mirrored.start()
    time.sleep(0.5)
    assert not mirrored.stop(10)
    assert time.monotonic() - began < 8
    assert len(warnings) == 1 and "sent later" in warnings[0] and "secret" not in warnings[0]
    assert "secret" not in run.tracking.read_text()
    tag = read_json(run.tracking)["run_tag"]
    assert mirror(run).catch_up(60)
    assert read_json(run.tracking)["run_tag"] == tag
    assert len(stored(run)[1]) == 2


def test_stop_does_not_wait_for_a_store_that_hangs(run: RunFiles) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mirrored = mirror(run, f"http://127.0.0.1:{silent.getsockname()[1]}", warnings := [])
        mirrored.start()
        time.sleep(0.3)
        began = time.monotonic()
        assert not mirrored.stop(0.5)
        assert time.monotonic() - began < 2
        assert len(warnings) == 1


@pytest.mark.slow
def test_killed_at_any_moment_there_is_one_parent_and_no_point_twice(run: RunFiles) -> None:
    code = (
        "import sys; from pathlib import Path; from mmbench.config.settings import TrackingSettings\n"
        "from mmbench.harness.run_files import RunFiles; from mmbench.harness.tracking import MlflowMirror\n"
        "mirror = MlflowMirror(RunFiles(Path(sys.argv[1])), TrackingSettings(), interval_s=0.01)\n"
        "import mlflow; print('go', flush=True); mirror.start(); import time; time.sleep(60)\n"
    )
    (run.runs_dir / "mlflow.db").unlink()
    for round, wait_s in enumerate((0.05, 0.4, 0.7, 1.1)):
        process = subprocess.Popen([sys.executable, "-c", code, str(run.root)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "go\n"
        time.sleep(wait_s)
        write_log(run, "unified", 0, range(100 + 100 * round, 200 + 100 * round, 10))
        time.sleep(0.03)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    for name in SYSTEMS:
        set_status(run, name, "done")
    assert mirror(run).catch_up(60)
    parent, children, client = stored(run)
    assert parent.info.status == "FINISHED" and sorted(children) == ["hybrid seed 0", "unified seed 0"]
    for key in ("train/loss", "train/learning_rate"):
        assert steps(client, children["unified seed 0"], key) == list(range(0, 500, 10))


def test_nothing_happens_when_tracking_is_switched_off(run: RunFiles) -> None:
    (run.runs_dir / "mlflow.db").unlink()
    mirrored = MlflowMirror(run, TrackingSettings(uri="nonsense", enabled=False))
    mirrored.start()
    assert mirrored.stop() and mirrored.catch_up()
    assert not (run.runs_dir / "mlflow.db").exists() and not run.tracking.exists()


@pytest.mark.parametrize(
    "uri",
    [
        "nonsense",
        "localhost:5000",
        "htp://host:5000",
        "http://",
        "http://host:port",
        "http://host:99999999",
        "http://ho st",
        "sqlite://",
        "sqlite:///",
        "sqlite:/runs/mlflow.db",
        "sqlite://runs/mlflow.db",
        "://x",
        "postgresql://",
    ],
)
def test_a_malformed_uri_is_an_error_before_anything_starts(uri: str, run: RunFiles) -> None:
    with pytest.raises(UserError, match="malformed"):
        check_tracking_uri(uri)
    with pytest.raises(UserError):
        mirror(run, uri)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://127.0.0.1:5000",
        "https://me:word@tracking.example.org/path",
        "sqlite:///runs/mlflow.db",
        "sqlite:////srv/mlflow.db",
        "postgresql+psycopg2://user:word@host:5432/db",
        "databricks",
    ],
)
def test_a_wellformed_uri_is_taken(uri: str) -> None:
    check_tracking_uri(uri)


def test_where_the_store_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri("", tmp_path / "runs") == f"sqlite:///{tmp_path}/runs/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:1")
    assert tracking_uri("", tmp_path) == "http://host:1"
    assert tracking_uri("sqlite:///x.db", tmp_path) == f"sqlite:///{Path.cwd()}/x.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "host:1")
    with pytest.raises(UserError):
        tracking_uri("", tmp_path)


def test_names_and_parameters_are_ones_that_mlflow_takes() -> None:
    assert curve_metrics({"step": 1, "time_s": 2.0, "loss": 3, "samples": 64}) == {"train/loss": 3, "train/samples": 64}
    validation = {"step": 1, "samples": 64, "validation_answer_loss": 0.5}
    assert curve_metrics(validation) == {"validation/answer_loss": 0.5}
    assert metric_name("test/text_to_image_recall@10") == "test/text_to_image_recall_at_10"
    flat = flatten({"a": {"b": [1, 2], "c": {}}, "long": "x" * 9000, "none": None, "odd@key": 1})
    assert flat["a.b"] == "[1, 2]" and flat["a.c"] == "{}" and flat["none"] == "null" and flat["odd_key"] == "1"
    assert len(flat["long"]) == MAX_PARAMETER_LENGTH


@pytest.mark.slow
def test_a_real_server_that_comes_back_gets_everything(run: RunFiles, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri, warnings = f"http://127.0.0.1:{port}", list[str]()
    mirrored = mirror(run, uri, warnings)
    mirrored.start()
    wait_for(lambda: len(warnings) == 1)
    store = ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db", "--artifacts-destination", str(tmp_path / "a")]
    command = [sys.executable, "-m", "mlflow", "server", *store, "--port", str(port), "--workers", "1"]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        wait_for(lambda: answers(port), 60)
        for name in SYSTEMS:
            set_status(run, name, "done")
        report = tmp_path / "demo.pdf"
        report.write_bytes(b"%PDF")
        mirrored.log_report(report)
        assert mirrored.stop(60)
        parent, children, client = stored(run, uri)
        assert parent.info.status == "FINISHED" and len(children) == 2
        assert steps(client, children["unified seed 0"], "train/loss") == list(range(0, 100, 10))
        assert [file.path for file in client.list_artifacts(parent.info.run_id, "report")] == ["report/demo.pdf"]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def stored_children(run: RunFiles) -> dict[str, Any]:
    if not (run.runs_dir / "mlflow.db").exists():
        return {}
    client = MlflowClient(f"sqlite:///{run.runs_dir / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mmbench")
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    return {str(found.info.run_name): found for found in runs}


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Any, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
