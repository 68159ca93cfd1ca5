"""What a terminal shows while a comparison runs: one live table, or plain lines where there is no terminal."""

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mmbench.harness.cell_views import ENDED, CellView, PhaseView, remaining_s
from mmbench.harness.run_files import RunFiles, TrialFiles

_READ_INTERVAL_S = 0.25
_PLAIN_INTERVAL_S = 15.0
_PLAIN_SHORTEST_S = 2.0
_STYLES = {"done": "green", "failed": "bold red", "pruned": "yellow", "waiting": "dim"}


class ComparisonDisplay:
    """Shows how far a comparison is, from the files that its cells write; a context manager.

    Args:
        run: the run.
        cells: system and seed of every planned cell, in the order in which they will run.
        title: what is compared; printed above the table.
        jobs: cells that run side by side.
        console: where to; the standard output if not given. A terminal gets one live table (unless ``CI`` is set),
            everything else plain lines.
    """

    def __init__(
        self,
        run: RunFiles,
        cells: Sequence[tuple[str, int]],
        title: str = "",
        jobs: int = 1,
        console: Console | None = None,
    ) -> None:
        self._console = console or Console()
        self._title = title or run.name
        self._jobs = max(1, jobs)
        self._run = run
        self._noun, self._num_planned = "cells", 0
        self._views: list[CellView] = []
        self._phase: PhaseView | None = None
        self._lock = threading.Lock()
        self._failed: set[str] = set()
        self._last_read_s = -1e9
        self._live: Live | None = None
        self._plain = _PlainLines(self._console)
        self.plan(cells)
        if self._console.is_interactive and not os.environ.get("CI"):
            # The live display's own thread also reads the files: a step before the cells may keep the caller busy.
            self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=2)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        else:
            self._console.print(escape(self._title), highlight=False, soft_wrap=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.phase(None)
        self._last_read_s = -1e9
        self.update()
        if self._live is not None:
            self._live.stop()

    def update(self) -> None:
        """Look at the files, at most four times a second; cheap enough to be called in any loop."""
        with self._lock:
            changed = self._read()
        # Printing takes the live display's lock, whose thread takes ours: never print while holding it.
        if not changed:
            return
        if self._live is not None:
            for view in self._views:
                if view.status == "failed" and view.name not in self._failed:
                    self._failed.add(view.name)
                    self._console.print(f"[bold red]failed[/]  {escape(view.name)}: {escape(view.reason)}")
            return
        if self._phase is not None:
            self._plain.phase(self._phase)
        for index, view in enumerate(self._views, start=1):
            self._plain.cell(index, view)

    def plan(self, cells: Sequence[tuple[str, int]]) -> None:
        """Show these cells from now on; those that were shown before keep what is known of them."""
        with self._lock:
            known = {(view.files.system, view.files.number): view for view in self._views if self._noun == "cells"}
            self._views = [known.get(cell) or CellView(self._run.cell(*cell)) for cell in cells]
            self._noun = "cells"
            self._num_planned = self._plain.num_cells = len(self._views)

    def plan_trials(self, trials: Sequence[TrialFiles], num_planned: int) -> None:
        """Show trials from now on: these, and those that `add` brings, of so many."""
        with self._lock:
            self._views = [CellView(files) for files in trials]
            self._noun = "trials"
            self._num_planned = self._plain.num_cells = max(num_planned, len(trials))

    def add(self, trial: TrialFiles) -> None:
        """Show another trial, unless it is shown."""
        with self._lock:
            if all(view.files != trial for view in self._views):
                self._views.append(CellView(trial))
            self._num_planned = self._plain.num_cells = max(self._num_planned, len(self._views))

    def say(self, text: str) -> None:
        """Print a line above the table."""
        self._console.print(escape(text), highlight=False, soft_wrap=True)

    def phase(self, label: str | None, progress_path: Path | None = None) -> None:
        """Show a step before or after the cells, such as the pretraining with its ``progress.json``; None ends it."""
        before = self._phase
        with self._lock:
            self._phase = None if label is None else PhaseView(label, progress_path, time.monotonic())
        if before is not None:
            took = duration(time.monotonic() - before.began_s)
            if self._live is not None:
                self._console.print(f"[green]done[/]    {escape(before.label)}  [dim]{took}[/]", highlight=False)
            else:
                self.say(f"{before.label}: done in {took}")
        if label is not None and self._live is None:
            self.say(f"{label} ...")

    def _read(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._last_read_s < _READ_INTERVAL_S:
            return False
        self._last_read_s = now_s
        if self._phase is not None:
            self._phase.read()
        for view in self._views:
            view.read()
        return True

    def _render(self) -> RenderableType:
        with self._lock:
            self._read()
            parts: list[RenderableType] = [Text(self._title, style="bold", overflow="ellipsis", no_wrap=True)]
            # Title, headings, phase, total and the cursor's line stand beside the cells.
            shown, hidden = _that_fit(self._views, room=max(3, self._console.height - 5))
            parts.append(_table(shown))
            if hidden:
                parts.append(Text(hidden, style="dim"))
            if self._phase is not None:
                parts.append(_phase_line(self._phase))
            if self._views:
                parts.append(self._total())
            return Group(*parts)

    def _total(self) -> RenderableType:
        num_ended = sum(view.ended for view in self._views)
        share = sum(view.share for view in self._views) / self._num_planned
        left_s = remaining_s(self._views, self._jobs, self._num_planned - len(self._views))
        text = "" if num_ended == self._num_planned else "estimating" if left_s is None else f"{duration(left_s)} left"
        return _bar_line(f"{num_ended} of {self._num_planned} {self._noun}", share, text)


def duration(seconds: float) -> str:
    """``0:21``, ``12:05`` or ``1:02:07``."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


class _PlainLines:
    """Lines for a log file: at each change of phase, and now and then between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.num_cells = 0
        self._said: dict[str, tuple[str, int, float]] = {}

    def cell(self, index: int, view: CellView) -> None:
        if view.status == "waiting":
            return
        phase = view.status if view.ended else view.phase or view.status
        if not self._due(view.name, phase, 0.0 if view.ended else view.fraction):
            return
        if view.ended:
            took = f" in {duration(view.wall_s)}" if view.wall_s else ""
            parts = [f"failed: {view.reason}" if view.status == "failed" else f"{view.status}{took}"]
        else:
            parts = [f"{phase} {view.fraction:.0%}"]
            if view.samples_per_s:
                parts.append(f"{view.samples_per_s:.0f} samples/s")
            if view.remaining_s is not None:
                parts.append(f"{duration(view.remaining_s)} left")
        self._print("  ".join([f"[{index:3d}/{self.num_cells}] {view.name}", *parts]))

    def phase(self, phase: PhaseView) -> None:
        if phase.fraction is not None and self._due(phase.label, phase.label, phase.fraction):
            left = "" if phase.remaining_s is None else f"  {duration(phase.remaining_s)} left"
            self._print(f"{phase.label}  {phase.fraction:.0%}{left}")

    def _due(self, name: str, phase: str, fraction: float) -> bool:
        now_s, tenth = time.monotonic(), int(fraction * 10 + 1e-9)
        last = self._said.get(name)
        if last is not None and last[0] == phase:
            since_s = now_s - last[2]
            if phase in ENDED or since_s < _PLAIN_SHORTEST_S:
                return False
            if tenth == last[1] and since_s < _PLAIN_INTERVAL_S:
                return False
        self._said[name] = (phase, tenth, now_s)
        return True

    def _print(self, text: str) -> None:
        self._console.print(escape(text), highlight=False, soft_wrap=True)


def _phase_line(phase: PhaseView) -> RenderableType:
    left = "" if phase.remaining_s is None else f"{duration(phase.remaining_s)} left"
    return _bar_line(phase.label, phase.fraction, left or duration(time.monotonic() - phase.began_s))


def _table(views: Sequence[CellView]) -> Table:
    table = Table(box=None, expand=True, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    table.add_column("system", no_wrap=True, overflow="ellipsis", max_width=16)
    is_trial = bool(views) and isinstance(views[0].files, TrialFiles)
    table.add_column("trial" if is_trial else "seed", justify="right", no_wrap=True)
    table.add_column("phase", no_wrap=True, min_width=10)
    table.add_column("", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("samples/s", justify="right", no_wrap=True)
    table.add_column("loss", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True, min_width=9)
    for view in views:
        table.add_row(*_row(view))
    return table


def _that_fit(views: Sequence[CellView], room: int) -> tuple[list[CellView], str]:
    """The cells that a low terminal shows: those under way, then failed, then next, then the last finished ones."""
    if len(views) <= room:
        return list(views), ""
    order = {"failed": 1, "waiting": 2, "done": 3}
    position = {id(view): index for index, view in enumerate(views)}
    ranked = sorted(
        views, key=lambda v: (order.get(v.status, 0), -position[id(v)] if v.status == "done" else position[id(v)])
    )
    kept = {id(view) for view in ranked[: room - 1]}
    hidden = [view.status for view in views if id(view) not in kept]
    counts = [(hidden.count(status), status) for status in ("done", "waiting", "failed")]
    text = ", ".join(f"{count} {status}" for count, status in counts if count)
    return [view for view in views if id(view) in kept], f"… and {text}"


def _row(view: CellView) -> list[RenderableType]:
    phase = view.phase if view.running and view.phase else view.status
    style = _STYLES.get(view.status, "")
    middle: RenderableType = ""
    rate = clock = ""
    if view.status == "failed":
        middle = Text(view.reason.splitlines()[0] if view.reason else "", style="red")
    elif view.status == "done":
        middle = ProgressBar(total=1.0, completed=1.0, finished_style="green")
        clock = duration(view.wall_s) if view.wall_s is not None else ""
    elif view.running:
        middle = ProgressBar(total=1.0, completed=view.fraction, complete_style="cyan")
        rate = f"{view.samples_per_s:.0f}" if view.samples_per_s else ""
        clock = f"{duration(view.remaining_s)} left" if view.remaining_s is not None else ""
    loss = "" if view.loss is None else f"{view.loss:.3f}"
    name_style = "dim" if view.status == "waiting" else "bold" if view.running else ""
    return [
        Text(view.files.system, style=name_style),
        Text(str(view.files.number), style=name_style),
        Text(phase, style=style),
        middle,
        rate,
        Text(loss, style="" if view.running else "dim"),
        Text(clock, style="" if view.running else "dim"),
    ]


def _bar_line(label: str, share: float | None, text: str) -> Table:
    line = Table.grid(expand=True, padding=(0, 2, 0, 0))
    line.add_column(no_wrap=True, overflow="ellipsis", max_width=40)
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    bar: RenderableType = "" if share is None else ProgressBar(total=1.0, completed=share, complete_style="magenta")
    line.add_row(Text(label, style="bold"), bar, text)
    return line
