"""An MLflow store through its client: found-or-created runs, batches within MLflow's limits, no chatter."""

import contextlib
import logging
import os
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mmbench.harness.tracking.uri import sqlite_file

_METRICS_A_CALL = 1000
_PARAMETERS_A_CALL = 100
_T = TypeVar("_T")

_QUIET_ENVIRONMENT = {
    # A server that is away must not hold the run: fail soon, the mirror itself tries again.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


class Point(NamedTuple):
    """One point of a curve."""

    key: str
    value: float
    timestamp_ms: int
    step: int


class Store:
    """One experiment of one MLflow store. Opening it imports MLflow and, once, makes the database: seconds.

    Every method may raise ``mlflow.exceptions.MlflowException`` or an ``OSError`` while the store is away.
    """

    def __init__(self, uri: str, experiment: str, artifacts_dir: Path) -> None:
        quiet_mlflow()
        from mlflow import MlflowClient

        make_sqlite_file(uri)
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self.experiment_id = self._experiment(experiment, _artifact_location(uri, artifacts_dir))

    def find_or_create_run(
        self, tags: Mapping[str, str], name: str, started_ms: int, more_tags: Mapping[str, str]
    ) -> tuple[str, int]:
        """The run that carries all of ``tags``, or a new one: its id, and its start in milliseconds since 1970."""
        query = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        found = self._client.search_runs([self.experiment_id], query, max_results=1, order_by=["start_time ASC"])
        run = (
            found[0]
            if found
            else self._client.create_run(
                self.experiment_id, start_time=started_ms, tags={**tags, **more_tags}, run_name=name
            )
        )
        return run.info.run_id, int(run.info.start_time)

    def is_active(self, run_id: str) -> bool:
        """Whether the run exists and has not been deleted by hand."""
        from mlflow.exceptions import MlflowException

        try:
            return bool(self._client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    def last_step(self, run_id: str, key: str) -> int:
        """The last step of a metric; -1 where it has none."""
        return max((point.step for point in self._client.get_metric_history(run_id, key)), default=-1)

    def log_points(self, run_id: str, points: Sequence[Point]) -> None:
        """Send points; one that is there already changes nothing."""
        from mlflow.entities import Metric

        for group in _groups(points, _METRICS_A_CALL):
            metrics = [Metric(point.key, point.value, point.timestamp_ms, point.step) for point in group]
            self._client.log_batch(run_id, metrics=metrics)

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """Send parameters; MLflow refuses to change one that is there with another value."""
        from mlflow.entities import Param

        for group in _groups([Param(key, value) for key, value in parameters.items()], _PARAMETERS_A_CALL):
            self._client.log_batch(run_id, params=group)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set or replace tags."""
        from mlflow.entities import RunTag

        for group in _groups([RunTag(key, value) for key, value in tags.items()], _PARAMETERS_A_CALL):
            self._client.log_batch(run_id, tags=group)

    def log_artifact(self, run_id: str, path: Path, folder: str) -> None:
        """Keep a file, or all that is in a folder, under ``folder``."""
        if path.is_dir():
            self._client.log_artifacts(run_id, str(path), folder)
        else:
            self._client.log_artifact(run_id, str(path), folder)

    def set_running(self, run_id: str) -> None:
        """Mark the run as under way."""
        self._client.update_run(run_id, status="RUNNING")

    def set_ended(self, run_id: str, status: str, ended_ms: int) -> None:
        """Mark the run as ``FINISHED``, ``FAILED`` or ``KILLED``."""
        self._client.set_terminated(run_id, status=status, end_time=ended_ms)

    def _experiment(self, name: str, artifact_location: str | None) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                # The kind makes MLflow's pages open on runs and curves, not on traces of prompts.
                tags = {"mlflow.experimentKind": "custom_model_development"}
                return str(self._client.create_experiment(name, artifact_location, tags))
            except MlflowException as error:
                # Another comparison that started at the same moment was faster.
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise error
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def quiet_mlflow() -> None:
    """Keep MLflow and what it uses from writing on the terminal or sending usage data; a user's own choice stays."""
    for name, value in _QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic", "urllib3.connectionpool", "git"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"mlflow(\.|$)")


def make_sqlite_file(uri: str) -> None:
    """Make the database of an sqlite store where there is none.

    MLflow makes its tables in many small steps; killed in their midst it would leave a file that it can neither use
    nor mend. So they are made aside, and the file gets its name when it is whole.
    """
    path = sqlite_file(uri)
    if path is None or path.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.part")
    try:
        maker: Any = SqlAlchemyStore
        store = maker(f"sqlite:///{aside.as_posix()}", (path.parent / "mlartifacts").as_uri())
        store.engine.dispose()
        with contextlib.suppress(FileExistsError):  # another process was faster: its file stays
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def is_permanent(error: Exception) -> bool:
    """Whether sending the same again would fail again (and waiting would not help)."""
    return getattr(error, "error_code", "") in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")


def _artifact_location(uri: str, artifacts_dir: Path) -> str | None:
    file = sqlite_file(uri)
    if file is not None:
        return (file.parent / "mlartifacts").as_uri()
    # A server knows where its artifacts go; a bare database does not.
    is_server = uri.startswith(("http://", "https://", "databricks", "file:"))
    return None if is_server else artifacts_dir.resolve().as_uri()


def _groups(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    content: list[Any] = list(items)
    for start in range(0, len(content), size):
        yield content[start : start + size]
