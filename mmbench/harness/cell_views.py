"""How far a comparison is, as the files of its cells and steps last told it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbench.config.baselines import UNTRAINED
from mmbench.harness.jsonl import LogTail
from mmbench.harness.run_files import CellFiles, read_json

ENDED = ("done", "failed", "pruned")
"""Statuses of cells that nothing more happens to."""
_TRAINING_PART = 0.85
"""What training counts for in the bar of all cells; the rest of a cell is evaluation."""


class CellView:
    """One cell as its files last told it; unchanged files are not read again."""

    def __init__(self, files: CellFiles) -> None:
        self.files = files
        self.name = files.title
        self.status = "waiting"
        self.reason = ""
        self.wall_s: float | None = None
        self.phase = ""
        self.fraction = 0.0
        self.samples_per_s: float | None = None
        self.remaining_s: float | None = None
        self.loss: float | None = None
        self._log = LogTail(files.log)
        self._cell = _WatchedJson(files.cell)
        self._progress = _WatchedJson(files.progress)

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status in ENDED

    @property
    def running(self) -> bool:
        """Whether it has begun and not ended."""
        return self.status not in (*ENDED, "waiting")

    @property
    def share(self) -> float:
        """How much of the whole cell, evaluation included, is behind it."""
        if self.ended or not self.running:
            return float(self.ended)
        if self.phase.startswith("evaluat"):
            return _TRAINING_PART + (1 - _TRAINING_PART) * self.fraction
        return _TRAINING_PART * self.fraction

    def read(self) -> None:
        """Look at the cell's files."""
        content = self._cell.read()
        if content is not None:
            self.status = str(content.get("status") or "waiting")
            self.reason = str(content.get("reason") or "")
            self.wall_s = _number((content.get("ledger") or {}).get("wall_s"))
        if self.status == "waiting":
            return
        progress = self._progress.read() if self.running else None
        if progress is not None:
            self.phase = str(progress.get("phase") or self.status)
            self.fraction = min(1.0, max(0.0, _number(progress.get("fraction")) or 0.0))
            self.samples_per_s = _number(progress.get("samples_per_s"))
            self.remaining_s = _number(progress.get("remaining_s"))
        for line in self._log.read():
            self.loss = _number(line.get("loss")) or self.loss


@dataclass
class PhaseView:
    """A step before or after the cells."""

    label: str
    progress_path: Path | None
    began_s: float
    fraction: float | None = None
    remaining_s: float | None = None

    def read(self) -> None:
        """Look at its ``progress.json``, where it has one."""
        content = _read_json(self.progress_path) if self.progress_path is not None else None
        if content is not None:
            self.fraction, self.remaining_s = _number(content.get("fraction")), _number(content.get("remaining_s"))


def remaining_s(views: Sequence[CellView], jobs: int, num_to_come: int = 0) -> float | None:
    """Seconds until the last cell ends, unseen ones included; None while nothing tells how long a cell takes."""
    whole_s: dict[str, list[float]] = {}
    for view in views:
        if view.files.system in UNTRAINED:
            continue
        if view.status == "done" and view.wall_s:
            whole_s.setdefault(view.files.system, []).append(view.wall_s)
        elif view.running and view.remaining_s is not None and 0.02 < view.share < _TRAINING_PART:
            whole_s.setdefault(view.files.system, []).append(view.remaining_s / (1 - view.fraction))
    if not whole_s:
        return None
    means = {system: sum(times) / len(times) for system, times in whole_s.items()}
    usual_s = sum(means.values()) / len(means)
    left_s = [
        (1 - view.share) * means.get(view.files.system, usual_s)
        for view in views
        if not view.ended and view.files.system not in UNTRAINED
    ]
    left_s += [usual_s] * num_to_come
    return max([sum(left_s) / jobs, *left_s]) if left_s else 0.0


class _WatchedJson:
    """A JSON file that is read only when it changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] = (0, 0)

    def read(self) -> dict[str, Any] | None:
        """The content; None where it did not change since the last call or is not there."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        if (status.st_mtime_ns, status.st_ino) == self._seen:
            return None
        self._seen = (status.st_mtime_ns, status.st_ino)
        return _read_json(self._path)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = read_json(path)
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
