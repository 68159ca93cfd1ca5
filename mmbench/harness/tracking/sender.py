"""One pass over a run's files: whatever MLflow does not have yet is sent, and what was sent is remembered."""

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mmbench.harness.jsonl import LogTail
from mmbench.harness.run_files import CellFiles, RunFiles, TrialFiles
from mmbench.harness.tracking import content
from mmbench.harness.tracking.state import CellState, TrackingState, load_state, save_state
from mmbench.harness.tracking.store import Point, Store, is_permanent
from mmbench.harness.tracking.uri import without_password

_ENDED = {"done": "FINISHED", "failed": "FAILED", "pruned": "KILLED"}


class Sender:
    """Sends a run to one MLflow store, pass by pass. Not for use from two threads, but for ``add_report``.

    Nothing is sent twice: an id is looked up by tag before a run is created, points are told by their step, and at
    the first pass the store itself is asked for the last step it has, as a killed process may have sent more than
    it remembered.

    Args:
        run: the run's files.
        uri: the store.
        experiment: the MLflow experiment.
        refused: is told what the store refused for good, and why.
    """

    def __init__(self, run: RunFiles, uri: str, experiment: str, refused: Callable[[str, str], None]) -> None:
        self._run = run
        self._uri = uri
        self._experiment = experiment
        self._refused = refused
        self._store: Store | None = None
        self._state = TrackingState()
        self._tails: dict[str, LogTail] = {}
        self._last_time_s: dict[str, float] = {}
        self._parent_status = ""
        self._stamps: list[int] = []
        self._new_reports: list[Path] = []
        self._reports_lock = threading.Lock()

    def add_report(self, path: Path) -> None:
        """Have ``path`` kept as an artifact from the next pass on."""
        with self._reports_lock:
            self._new_reports.append(path)

    def send(self, last: bool) -> None:
        """One pass; ``last`` ends the runs in MLflow, as finished or, where cells are missing, as killed.

        Raises:
            Exception: whatever MLflow or the network raises; what was sent before it is remembered.
        """
        store = self._open()
        parent = self._parent(store)
        cells = self._run.cells()
        statuses = [self._send_cell(store, parent, cell, last) for cell in [*self._run.trials(), *cells]]
        self._send_parent_parts(store, parent)
        self._send_mean_scores(store, parent, cells)
        complete = bool(statuses) and all(status in content.TERMINAL for status in statuses)
        status = "FINISHED" if complete and last else "KILLED" if last else "RUNNING"
        if status == self._parent_status or (complete and not last):
            return
        if status == "RUNNING":
            store.set_running(parent)
        else:
            store.set_ended(parent, status, max((_changed_ms(cell.cell) for cell in cells), default=_now_ms()))
        self._parent_status = status

    def _open(self) -> Store:
        if self._store is None:
            key = f"{without_password(self._uri)}#{self._experiment}"
            state = load_state(self._run.tracking, key)
            store = Store(self._uri, self._experiment, self._run.runs_dir / "mlartifacts")
            if state.parent_run_id and not store.is_active(state.parent_run_id):
                state.forget_runs()  # deleted by hand, with or without the whole database
            self._state, self._store = state, store
        return self._store

    def _save(self) -> None:
        save_state(self._run.tracking, self._state)

    def _parent(self, store: Store) -> str:
        if not self._state.parent_run_id:
            tags = {"mmbench.run": self._state.run_tag, "mmbench.kind": "comparison"}
            self._save()  # the tag first: by it the run is found again
            started_ms = min(_changed_ms(self._run.comparison), _now_ms())
            run_id, _ = store.find_or_create_run(tags, self._run.name, started_ms, {"mlflow.source.name": "mmbench"})
            self._state.parent_run_id = run_id
            self._save()
        return self._state.parent_run_id

    def _send_parent_parts(self, store: Store, parent: str) -> None:
        run = self._run
        sources = (run.comparison, run.command, run.data, run.probe, run.environment)
        stamps = [_changed_ms(path) for path in sources if path.exists()]
        if stamps != self._stamps:
            for name, parameters in content.parent_parameters(run).items():
                self._once(f"parameters of {name}", "sent", partial(store.log_parameters, parent, parameters))
            tags = content.parent_tags(run)
            self._once("tags", content.digest(tags), partial(store.set_tags, parent, tags))
            self._stamps = stamps
        with self._reports_lock:
            known, self._new_reports = self._new_reports, []
        for path in known:
            if str(path) not in self._state.report:
                self._state.report.append(str(path))
                self._save()
        kept = [(run.comparison, "settings"), (run.environment, "settings")]
        kept += [(Path(path), "report") for path in self._state.report]
        for path, folder in kept:
            if path.exists():
                self._once(path.name, str(_changed_ms(path)), partial(store.log_artifact, parent, path, folder))

    def _send_mean_scores(self, store: Store, parent: str, cells: list[CellFiles]) -> None:
        states = [(cell.key, self._state.cells[cell.key].finished) for cell in cells if cell.key in self._state.cells]
        version = content.digest(sorted(states))
        if self._state.sent.get("mean scores") == version or not any(finished for _, finished in states):
            return
        changed_ms = max(_changed_ms(cell.cell) for cell in cells)
        points = [Point(name, value, changed_ms, 0) for name, value in content.mean_scores(cells).items()]
        self._once("mean scores", version, partial(store.log_points, parent, points))

    def _once(self, what: str, version: str, send: Callable[[], None]) -> None:
        """Send a part of the parent run unless this version of it was sent before."""
        if self._state.sent.get(what) == version:
            return
        self._try(what, send)
        self._state.sent[what] = version
        self._save()

    def _try(self, what: str, send: Callable[[], None]) -> None:
        try:
            send()
        except Exception as error:
            if not is_permanent(error):
                raise
            self._refused(what, str(error))

    def _send_cell(self, store: Store, parent: str, cell: CellFiles, last: bool) -> str:
        described = cell.read()
        status = str(described.get("status", "waiting"))
        name = cell.key
        if status == "waiting" and not cell.log.exists():
            return status
        state = self._cell_state(store, parent, cell, described, name)
        version = content.cell_digest(cell) if status in content.TERMINAL else ""
        if version and version == state.finished:
            return status
        if state.finished:  # tried again after it had failed
            store.set_running(state.run_id)
            state.finished = ""
        self._send_parameters(store, cell, state, name)
        self._send_curves(store, cell, state, name)
        if version:
            metrics = content.final_metrics(cell)
            changed_ms = _changed_ms(cell.cell)
            points = [Point(key, value, changed_ms, 0) for key, value in metrics.items()]
            self._try(f"scores of {name}", lambda: store.log_points(state.run_id, points))
            tags = {"mmbench.status": status, "mmbench.weights": str(described.get("weights_hash") or "")}
            if described.get("reason"):
                tags["mmbench.reason"] = tags["mlflow.note.content"] = str(described["reason"])[:5000]
            store.set_tags(state.run_id, tags)
            store.set_ended(state.run_id, _ENDED[status], changed_ms)
            state.finished = version
            self._save()
        elif last:
            store.set_ended(state.run_id, "KILLED", _now_ms())
        return status

    def _cell_state(
        self, store: Store, parent: str, cell: CellFiles, described: Mapping[str, Any], name: str
    ) -> CellState:
        state = self._state.cells.get(name)
        first_pass = name not in self._tails
        if state is not None and first_pass and not state.finished:
            if store.is_active(state.run_id):
                store.set_running(state.run_id)
            else:
                state = None
        if state is None:
            kind = "trial" if isinstance(cell, TrialFiles) else "cell"
            tags = {"mmbench.run": self._state.run_tag, "mmbench.kind": kind, "mmbench.cell": name}
            more = {"mlflow.parentRunId": parent, "mlflow.source.name": "mmbench", "system": cell.system}
            more |= {key: str(described[key]) for key in ("kind", "family", "paper") if described.get(key)}
            is_baseline = kind == "cell" and described.get("kind") == "baseline"
            title = cell.system if is_baseline else cell.title
            state = CellState(*store.find_or_create_run(tags, title, _started_ms(cell), more))
            self._state.cells[name] = state
            self._save()
        if first_pass and not state.finished:
            state.training_step = _known_step(state.training_step, store.last_step(state.run_id, "train/loss"))
            known = store.last_step(state.run_id, "validation/loss")
            state.validation_step = _known_step(state.validation_step, known)
        self._tails.setdefault(name, LogTail(cell.log))
        return state

    def _send_parameters(self, store: Store, cell: CellFiles, state: CellState, name: str) -> None:
        if not state.parameters:
            parameters = content.cell_parameters(self._run, cell)
            self._try(f"parameters of {name}", lambda: store.log_parameters(state.run_id, parameters))
            state.parameters = content.digest(parameters)
            self._save()

    def _send_curves(self, store: Store, cell: CellFiles, state: CellState, name: str) -> None:
        tail = self._tails[name]
        points: list[Point] = []
        training_step, validation_step = state.training_step, state.validation_step
        for line in tail.read():
            step = line.get("step")
            time_s = line.get("time_s")
            if isinstance(time_s, int | float):
                self._last_time_s[name] = float(time_s)
            if not isinstance(step, int):
                continue
            if content.is_validation(line):
                is_new, validation_step = step > validation_step, max(step, validation_step)
            else:
                is_new, training_step = step > training_step, max(step, training_step)
            if is_new:
                at_ms = state.started_ms + int(self._last_time_s.get(name, 0.0) * 1000)
                points += [Point(key, value, at_ms, step) for key, value in content.curve_metrics(line).items()]
        if not points:
            return
        try:
            self._try(f"curves of {name}", lambda: store.log_points(state.run_id, points))
        except Exception:
            self._tails[name] = LogTail(cell.log)  # read again; the known steps are passed over
            raise
        state.training_step, state.validation_step = training_step, validation_step
        self._save()


def _known_step(remembered: int, stored: int) -> int:
    # The last line that was sent but not remembered may have arrived in part: that one goes out again, and MLflow
    # keeps points that are the same once.
    return stored - 1 if stored > remembered else remembered


def _started_ms(cell: CellFiles) -> int:
    """When the cell began, as far as its files tell: also right for a cell that ended long ago."""
    times_s = [line["time_s"] for line in LogTail(cell.log).read() if isinstance(line.get("time_s"), int | float)]
    if times_s:
        return _changed_ms(cell.log) - int(times_s[-1] * 1000)
    return min(_changed_ms(cell.cell), _now_ms())


def _changed_ms(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return _now_ms()


def _now_ms() -> int:
    return int(time.time() * 1000)
