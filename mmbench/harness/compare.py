"""A comparison from start to end: a table of cells, each run once in a process of its own, then latency and tables."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mmbench.config.baselines import BLIND, SEEDLESS, UNTRAINED
from mmbench.config.deciding import DecidingSettings
from mmbench.config.errors import UserError
from mmbench.config.load import load_settings_file, save_settings, settings_difference
from mmbench.config.settings import Settings
from mmbench.config.space import check_tuning
from mmbench.harness import tasks
from mmbench.harness.added_seeds import in_words, seeds_begun, seeds_of_looks
from mmbench.harness.environment import describe_environment
from mmbench.harness.objective import check_metric
from mmbench.harness.processes import Outcome, Processes, Task
from mmbench.harness.progress import ComparisonDisplay
from mmbench.harness.run_files import CellFiles, RunFiles, read_json, write_json
from mmbench.harness.stages import in_words as stages_in_words
from mmbench.harness.tracking import MlflowMirror, check_tracking_uri, tracking_uri

_SHOWN_DIFFERENCES = 3


def run_comparison(
    settings: Settings, runs_dir: Path, *, jobs: int | None, command: str, resume: bool = False
) -> RunFiles:
    """Run, or go on running, the comparison ``runs_dir / settings.name``.

    Args:
        settings: resolved.
        runs_dir: where runs lie.
        jobs: cells side by side; if None, as many as the machine has cores (or GPUs) for.
        command: what repeats the run, for the report.
        resume: whether the run must exist already.

    Returns:
        The run's files; cells that failed say so in theirs.

    Raises:
        UserError: the run was made with other settings or is being run, or something asked for cannot be had.
    """
    run = RunFiles(runs_dir.resolve() / settings.name)
    if resume and not run.comparison.exists():
        raise UserError(f"there is no run '{settings.name}' in '{runs_dir}' to resume")
    check_tracking_uri(tracking_uri(settings.tracking.uri, run.runs_dir))
    if settings.tuning.trials:
        check_tuning(settings, compared=True)
        check_metric(settings.tuning.metric, evaluation=settings.evaluation)
    if settings.deciding.pair and settings.deciding.metric:
        check_metric(settings.deciding.metric, per_example=True, evaluation=settings.evaluation)
    with locked(run):
        claim(run, settings, command)
        return Comparison(run, settings, jobs).run()


def run_one(settings: Settings, runs_dir: Path, seed: int) -> RunFiles:
    """Run one cell: the one system of ``settings`` with ``seed``, without baselines and latency.

    Raises:
        UserError: as `run_comparison`, or the cell failed.
    """
    alone = replace(
        settings,
        baselines=[],
        seeds=[seed],
        deciding=DecidingSettings(),
        latency=replace(settings.latency, repeats=0),
    )
    run = run_comparison(alone, runs_dir, jobs=1, command="")
    (system,) = settings.systems
    cell = run.cell(system, seed).read()
    if cell.get("status") != "done":
        raise UserError(f"the cell failed: {cell.get('reason')}")
    return run


def planned_cells(settings: Settings) -> list[tuple[str, int]]:
    """(system, seed) of every cell, in the order in which they run: seed by seed, so that early results span all."""
    quick = [
        (name, seed)
        for name in UNTRAINED
        if name in settings.baselines
        for seed in settings.seeds[: 1 if name in SEEDLESS else None]
    ]
    trained = [*settings.systems, *([BLIND] if BLIND in settings.baselines else [])]
    return quick + [(system, seed) for seed in settings.seeds for system in trained]


class Comparison:
    """One run of the steps; each step skips what is there already."""

    noun = "cell"
    """What spends a budget."""

    def __init__(self, run: RunFiles, settings: Settings, jobs: int | None) -> None:
        self.files, self.settings, self.jobs = run, settings, jobs
        self.seeds = list(settings.seeds)
        if settings.deciding.pair:
            self.seeds = seeds_begun(run, settings.seeds, settings.deciding.max_seeds)
        self.cells = planned_cells(replace(settings, seeds=self.seeds))
        self.processes = Processes()
        systems = " ".join(settings.systems)
        title = f"{settings.name}: {systems} on {settings.data.name}, {settings.budget} a {self.noun}"
        self.display = ComparisonDisplay(run, self.cells, title=title, jobs=self._slots())
        self.mirror = MlflowMirror(run, settings.tracking, warn=self.display.say)

    def run(self) -> RunFiles:
        with self.display:
            if self.settings.tracking.enabled:
                self.mirror.start()
            try:
                self._before_cells()
                self._do()
            finally:
                if self.settings.tracking.enabled:
                    self.mirror.stop()
        return self.files

    def _do(self) -> None:
        """What stands on prepared data and a starting point."""
        self._tune()
        self._run_cells()
        self._until_decided()
        self._after_cells()

    def _before_cells(self) -> None:
        root, files = self.files.root, self.files
        if not files.stages.exists():
            work = Task(tasks.prepare_data, (root, self._trial_budget()))
            self._step("preparing the data", [work], files.preparation_progress)
        if self.settings.deciding.pair and self.settings.deciding.metric:
            check_metric(self.settings.deciding.metric, read_json(files.data)["tasks"], per_example=True)
        for system, stages in read_json(files.stages).items():
            self.display.say(stages_in_words(system, stages))
        if self.settings.match != "none":
            for one in read_json(files.matching)["systems"].values():
                self.display.say(one["said"])
        if not files.probe.exists():
            self._step("measuring the machine", [Task(tasks.probe, (root,))])
        if not files.pretraining.exists():
            self._step("planning the starting point", [Task(tasks.parts_to_pretrain, (root,))])
            plan = read_json(files.pretraining_plan)
            if plan:
                slowest = CellFiles(Path(plan.get("encoder", next(iter(plan.values())))))
                todo = [Task(tasks.pretrain_part, (root, part)) for part in plan]
                self._step(f"pretraining {' and '.join(plan)}", todo, slowest.progress)
            self._step("measuring text-only ability", [Task(tasks.finish_starting_point, (root,))])

    def _tune(self) -> None:
        """Search for every system's own values, by the same rules, on the validation split."""
        if not self.settings.tuning.trials or self.files.tuning.exists():
            return
        from mmbench.harness.tuning import Search

        systems = [*self.settings.systems, *([BLIND] if BLIND in self.settings.baselines else [])]
        search = Search(self.files, self.settings, systems, self._trial_budget(), "", self.display, self._note)
        search.run(self._processes(), self._slots())
        found = search.record()
        for system, one in found["systems"].items():
            if one["note"]:
                self.display.say(f"{system} trains by the recipe as it stands: {one['note']}")
        write_json(self.files.tuning, found)
        self.display.plan(self.cells)

    def _trial_budget(self) -> str:
        """What a trial before the cells spends; empty where there is none."""
        if not self.settings.tuning.trials:
            return ""
        from mmbench.harness.tuning import trial_budget

        return trial_budget(self.settings)

    def _run_cells(self) -> None:
        todo = [(system, seed) for system, seed in self.cells if self._status(system, seed) != "done"]
        work = [Task(tasks.run_cell, (self.files.root, system, seed)) for system, seed in todo]

        def ended(index: int, outcome: Outcome) -> None:
            if outcome.error is not None:
                tasks.mark_failed(self.files, *todo[index], reason=str(outcome.error))
                self._note(" seed ".join(map(str, todo[index])), outcome.error)

        self._processes().run(work, self._slots(), self.display.update, ended)

    def _until_decided(self) -> None:
        """Look at the pair that is to be decided; while it is not, run one more seed of everything."""
        if not self.settings.deciding.pair:
            return
        every = seeds_of_looks(self.settings.seeds, self.settings.deciding.max_seeds)
        while True:
            self._step(f"looking at {len(self.seeds)} seeds", [Task(tasks.look, (self.files.root, self.seeds))])
            found = read_json(self.files.looks)
            self.display.say(in_words(found))
            if found["decided"] or found["reason"] is not None or len(self.seeds) == len(every):
                return
            self.seeds = every[: len(self.seeds) + 1]
            self.cells = planned_cells(replace(self.settings, seeds=self.seeds))
            self.display.plan(self.cells)
            self._run_cells()

    def _after_cells(self) -> None:
        done = [cell for cell in self.cells if self._status(*cell) == "done"]
        if not done:
            reasons = {self.files.cell(*cell).read().get("reason") for cell in self.cells}
            raise UserError(f"every cell failed: {'; '.join(sorted(str(reason) for reason in reasons))}")
        self._step("joining the tables", [Task(tasks.collect, (self.files.root, self.cells))])
        timed = {system: (system, seed) for system, seed in reversed(done) if system in self.settings.systems}
        if self.settings.latency.repeats and timed and not self._latency_is_whole():
            systems = [timed[system] for system in self.settings.systems if system in timed]
            work = Task(tasks.measure_latency, (self.files.root, systems))
            outcome = self._run_step("measuring latency", [work], self.files.latency_progress)[0]
            if outcome.error is not None:
                self._note("latency", outcome.error)
                self.display.say(f"latency was not measured: {outcome.error}")

    def _latency_is_whole(self) -> bool:
        return self.files.latency.exists() and bool(read_json(self.files.latency)["complete"])

    def _step(self, label: str, work: list[Task], progress: Path | None = None) -> None:
        """A step that the comparison cannot go on without."""
        for outcome in self._run_step(label, work, progress):
            if outcome.error is not None:
                self._note(label, outcome.error)
                raise outcome.error if isinstance(outcome.error, UserError) else UserError(f"{label}: {outcome.error}")

    def _run_step(self, label: str, work: list[Task], progress: Path | None) -> list[Outcome]:
        self.display.phase(label, progress)
        outcomes = self.processes.run(work, self._slots(), self.display.update)
        self.display.phase(None)
        return outcomes

    def _note(self, what: str, error: Exception) -> None:
        """Keep the traceback where whoever looks into it will find it."""
        with self.files.errors.open("a", encoding="utf-8") as file:
            file.write(f"{what}: {error}\n{getattr(error, 'details', '')}\n")

    def _status(self, system: str, seed: int) -> str:
        return str(self.files.cell(system, seed).read().get("status", "waiting"))

    def _slots(self) -> int:
        """Cells side by side: what was asked, else one for each GPU, or for each group of ``threads`` cores."""
        if self.jobs is not None:
            return self.jobs
        cores = os.cpu_count() or 1
        if not self.files.probe.exists():
            return cores
        decided = read_json(self.files.probe)
        if decided["device_type"] == "cuda":
            return max(1, int(decided["num_devices"]) // _devices(self.settings))
        return max(1, cores // int(decided["threads"])) if decided["device_type"] == "cpu" else 1

    def _processes(self) -> Processes:
        """On several GPUs each cell sees its own."""
        decided = read_json(self.files.probe)
        several = decided["device_type"] == "cuda" and decided["num_devices"] > 1
        return Processes(_devices(self.settings)) if several else self.processes


def _devices(settings: Settings) -> int:
    asked = settings.trainer.devices
    if isinstance(asked, list):
        return len(asked)
    return int(asked) if str(asked).isdigit() and int(asked) > 0 else 1


def claim(run: RunFiles, settings: Settings, command: str) -> None:
    """Write down what the run is, or see that it was made with the same settings."""
    # A run whose data could not even be prepared holds nothing that other settings could spoil.
    if run.comparison.exists() and run.data.exists():
        different = settings_difference(load_settings_file(run.comparison), settings)
        if different:
            shown = "; ".join(different[:_SHOWN_DIFFERENCES])
            more = f" and {len(different) - _SHOWN_DIFFERENCES} more" if len(different) > _SHOWN_DIFFERENCES else ""
            raise UserError(
                f"the run '{run.root}' was made with other settings ({shown}{more}): "
                "give another --name, or the same settings"
            )
        return
    write_json(run.environment, describe_environment())
    run.command.write_text(command + "\n", encoding="utf-8")
    save_settings(settings, run.comparison)


@contextmanager
def locked(run: RunFiles) -> Iterator[None]:
    """One process at a time works on a run; the lock goes with the process, however it ends."""
    try:
        run.root.mkdir(parents=True, exist_ok=True)
        file = run.lock.open("w")
    except PermissionError as error:
        raise UserError(f"no permission to write '{error.filename}': give another --runs folder") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"the run '{run.root}' is being run by another process: wait for it, or end it") from None
        yield
