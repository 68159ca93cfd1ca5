"""What has been sent to MLflow, and to which of its runs: ``runs/NAME/tracking.json``."""

import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mmbench.harness.run_files import read_json, write_json


@dataclass
class CellState:
    """One cell's run in MLflow."""

    run_id: str
    """MLflow's id of the child run."""
    started_ms: int
    """Start of the run in milliseconds since 1970; the curves' timestamps count from it."""
    training_step: int = -1
    """The last step whose training line was sent."""
    validation_step: int = -1
    """The last step whose validation line was sent."""
    parameters: str = ""
    """Digest of the parameters that were sent."""
    finished: str = ""
    """Digest of the final ``cell.json`` and scores that were sent; empty while the cell is under way."""


@dataclass
class TrackingState:
    """The comparison's runs in one MLflow store."""

    run_tag: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Value of the tag ``mmbench.run``. It is kept before the first run is created, so that a run whose id was lost
    to a crash is found again by it."""
    store: str = ""
    """The store (URI without password, and experiment) that the ids below belong to."""
    parent_run_id: str = ""
    """MLflow's id of the parent run."""
    sent: dict[str, str] = field(default_factory=dict)
    """Digest of each part of the parent run that was sent."""
    report: list[str] = field(default_factory=list)
    """Paths of the report's files."""
    cells: dict[str, CellState] = field(default_factory=dict)
    """Runs of the cells, by ``SYSTEM/seedK``."""

    def forget_runs(self) -> None:
        """Drop every id, as for another store; the tag stays, so that runs that do exist are found again."""
        self.parent_run_id, self.sent, self.cells = "", {}, {}


def load_state(path: Path, store: str) -> TrackingState:
    """The state kept in ``path`` for ``store``; a new one, kept at once, where there is none."""
    try:
        content = read_json(path)
        content["cells"] = {name: CellState(**cell) for name, cell in content["cells"].items()}
        state = TrackingState(**content)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Missing, or damaged by hand: what MLflow has is then only reached through its own pages.
        state = TrackingState()
    if state.store != store:
        state.forget_runs()
        state.store = store
        save_state(path, state)
    return state


def save_state(path: Path, state: TrackingState) -> None:
    """Replace the state's file, whole or not at all."""
    write_json(path, asdict(state))
