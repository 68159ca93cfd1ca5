"""The search of a run: a study for each system, whose trials run side by side in processes of their own."""

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mmbench.config.budget import parse_budget
from mmbench.config.errors import UserError
from mmbench.config.settings import Settings
from mmbench.config.space import current_values, space_of
from mmbench.harness import tasks
from mmbench.harness.jsonl import LogTail
from mmbench.harness.objective import check_metric, directions, mark_of
from mmbench.harness.processes import Outcome, Processes, Task
from mmbench.harness.progress import ComparisonDisplay
from mmbench.harness.run_files import RunFiles, TrialFiles, read_json, write_json
from mmbench.harness.tracking.content import digest

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from mmbench.harness.study import Asked, Study

_ENDED = ("done", "pruned", "failed")
_WAIT_S = 2.0
_NO_NUMBERS = ("trials", "budget_share", "retries")
"""Settings of the search under which trials of one study stay comparable."""


class Search:
    """Runs, or goes on running, the trials of every system of a run.

    Args:
        run: its data, probe and starting point are there.
        settings: of the run.
        systems: those that are searched for.
        budget: of one trial.
        storage: an Optuna storage's URL; empty for the run's own file.
        display: shows the trials.
        note: keeps the traceback of a failed trial.
    """

    def __init__(
        self,
        run: RunFiles,
        settings: Settings,
        systems: list[str],
        budget: str,
        storage: str,
        display: ComparisonDisplay,
        note: Callable[[str, Exception], None],
    ) -> None:
        from mmbench.harness.study import Study, answering, open_storage

        data = read_json(run.data)
        check_metric(settings.tuning.metric, data["tasks"])
        if not data["splits"].get("validation", {}).get("images"):
            raise UserError("the data has no validation split, on which trials are scored: give data that has one")
        self.files, self.settings, self.budget = run, settings, budget
        self._display, self._note = display, note
        self._running: dict[int, _Running] = {}
        self._beat_at_s = 0.0
        self._storage = open_storage(storage or f"sqlite:///{run.study}")
        share = settings.training.validation_share
        self.studies: dict[str, Study] = {}
        for system in systems:
            space = space_of(settings.tuning.space, settings, system)
            if not space:
                continue
            with answering(self._storage):
                self.studies[system] = Study(
                    self._storage,
                    study_name(run, settings, system, budget),
                    space,
                    current_values(settings, space),
                    settings.tuning,
                    num_marks=mark_of(1.0, share),
                    owner=_owner(run),
                    exclusive=not storage,
                )

    def run(self, processes: Processes, num_slots: int) -> None:
        """Run trials until every study has its number; those of other processes are waited for.

        Raises:
            UserError: the storage does not answer any more.
        """
        from mmbench.harness.study import answering

        with answering(self._storage):
            self._run(processes, num_slots)

    def _run(self, processes: Processes, num_slots: int) -> None:
        interrupted = [(system, asked) for system, study in self.studies.items() for asked in study.mine()]
        self._forget_lost()
        self._display.plan_trials(self.files.trials(), self.settings.tuning.trials * len(self.studies))
        while True:
            num_started = self._run_all(processes, num_slots, interrupted)
            interrupted = []
            if not any(study.under_way() for study in self.studies.values()):
                return
            for study in self.studies.values():
                study.take_over()
            if not num_started:
                self._display.update()
                time.sleep(_WAIT_S)

    def _run_all(self, processes: Processes, num_slots: int, first: "list[tuple[str, Asked]]") -> int:
        begun: list[TrialFiles] = []

        def work() -> Iterator[Task]:
            for system, asked in self._next(first):
                files = self.files.trial(system, asked.number)
                self._begin(files, asked)
                if files.read().get("status") in _ENDED:  # It ended in the moment in which the parent was killed.
                    self._tell(files)
                    continue
                self._running[len(begun)] = _Running(files, LogTail(files.log))
                begun.append(files)
                yield Task(tasks.run_trial, (self.files.root, system, asked.number))

        def ended(index: int, outcome: Outcome) -> None:
            files = self._running.pop(index).files
            if outcome.error is not None:
                tasks.mark_trial_failed(files, str(outcome.error))
                self._note(files.title, outcome.error)
            self._tell(files)

        processes.run(work(), num_slots, self._watch, ended)
        return len(begun)

    def _next(self, first: "list[tuple[str, Asked]]") -> "Iterator[tuple[str, Asked]]":
        """Interrupted trials, then new ones in turn, each asked for when there is a place for it."""
        yield from first
        while True:
            num_asked = 0
            for system, study in self.studies.items():
                asked = study.ask()
                if asked is not None:
                    num_asked += 1
                    yield system, asked
            if not num_asked:
                return

    def _begin(self, files: TrialFiles, asked: "Asked") -> None:
        seed = self.settings.tuning.training_seed
        content = {"number": asked.number, "seed": seed, "budget": self.budget, "values": asked.values}
        if not files.trial.exists():
            write_json(files.trial, content)
        elif read_json(files.trial) != content:
            raise UserError(
                f"'{files.root}' holds a trial of another study, perhaps of another --storage: give another --name"
            )
        self._display.add(files)

    def _watch(self) -> None:
        """Several times a second: look at the validation losses, and say that the trials are alive."""
        from mmbench.harness.study import HEARTBEAT_S

        self._display.update()
        now_s = time.monotonic()
        beats = now_s - self._beat_at_s > HEARTBEAT_S
        for running in self._running.values():
            study = self.studies[running.files.system]
            if beats:
                study.beat(running.files.number)
            for line in running.log.read():
                self._judge(study, running, line)
        if beats:
            self._beat_at_s = now_s

    def _judge(self, study: "Study", running: "_Running", line: dict[str, Any]) -> None:
        if "validation_loss" not in line or self.settings.tuning.pruner == "none":
            return
        mark = mark_of(line["fraction"], self.settings.training.validation_share)
        if mark <= running.judged:
            return
        running.judged = mark
        stop = study.falls_behind(running.files.number, mark, line["validation_loss"])
        write_json(running.files.verdict, {"mark": mark, "stop": stop})

    def _tell(self, files: TrialFiles) -> None:
        cell = files.read()
        ledger = cell.get("ledger") or (read_json(files.spent) if files.spent.exists() else {})
        spent = {key: ledger.get(key, 0) for key in ("flops", "samples", "device_s")}
        study = self.studies[files.system]
        study.tell(files.number, cell["status"], cell.get("objective"), spent, cell.get("reason"))

    def _forget_lost(self) -> None:
        """Trials that another process has taken over while this one was away."""
        for files in self.files.trials():
            study = self.studies.get(files.system)
            if study is None or files.read().get("status") in _ENDED:
                continue
            if files.number not in {trial.number for trial in study.trials() if study.state(trial) == "running"}:
                tasks.mark_trial_failed(files, "interrupted for so long that it was tried again as another trial")

    def record(self) -> dict[str, Any]:
        """What was searched for, and what was found for each system: the content of ``tuning.json``.

        Raises:
            UserError: the storage does not answer any more.
        """
        from mmbench.harness.study import answering

        with answering(self._storage):
            systems = {system: _found(study) for system, study in self.studies.items()}
        tuning = asdict(self.settings.tuning)
        return {
            **{key: tuning[key] for key in ("trials", "metric", "cost", "sampler", "pruner", "space")},
            **{key: tuning[key] for key in ("training_seed", "sampler_seed")},
            "direction": directions(self.settings.tuning)[0],
            "budget": self.budget,
            "systems": systems,
        }


@dataclass
class _Running:
    files: TrialFiles
    log: LogTail
    judged: int = 0


def trial_budget(settings: Settings) -> str:
    """The budget of a trial before a comparison's cells."""
    budget = parse_budget(settings.budget)
    return str(type(budget)(budget.amount * settings.tuning.budget_share, budget.unit))


def study_name(run: RunFiles, settings: Settings, system: str, budget: str) -> str:
    """``RUN/SYSTEM/HASH``: a function of all that decides a trial's value, and of no path or device.

    Several machines may so share a study however their folders and accelerators are called.
    """
    data = read_json(run.data)
    tree = asdict(settings)
    shared = ("image_size", "encoder", "language_model", "pretraining", "training", "evaluation", "match")
    deciding = {key: tree[key] for key in shared}
    deciding["evaluation"].pop("batch_size")
    deciding["tuning"] = {key: value for key, value in tree["tuning"].items() if key not in _NO_NUMBERS}
    deciding |= {"system": tree["systems"].get(system), "budget": budget}
    deciding |= {key: data[key] for key in ("fingerprint", "tokenizer_hash")}
    return f"{run.name}/{system}/{digest(deciding)}"


def _found(study: "Study") -> dict[str, Any]:
    counted = {trial.number for trial in study.counted()}
    trials = [_described(study, trial, counted) for trial in study.trials()]
    best = study.best()
    states = {state: sum(one["state"] == state for one in trials) for state in ("complete", "pruned", "failed")}
    spent = {key: sum(one["spent"].get(key, 0) for one in trials) for key in ("flops", "samples", "device_s")}
    reasons = sorted({str(one["reason"]) for one in trials if one["reason"]})
    why = f"no trial finished: {'; '.join(reasons) or 'none has ended'}"
    return {
        "study": study.name,
        "best": {} if best is None else dict(best.params),
        "value": None if best is None else best.values[0],
        "trial": None if best is None else best.number,
        "front": [trial.number for trial in study.front()],
        "note": why if best is None else "",
        "states": states,
        "ledger": {**spent, "device_s": round(spent["device_s"], 2), "trials": len(counted)},
        "trials": trials,
    }


def _described(study: "Study", trial: "FrozenTrial", counted: set[int]) -> dict[str, Any]:
    state = study.state(trial)
    # A pruned trial's value in the study is what it had when it was stopped, of another kind than the metric.
    values = list(trial.values) if state == "complete" else []
    return {
        "number": trial.number,
        "state": state if trial.number in counted else "retried",
        "value": values[0] if values else None,
        "cost": values[1] if len(values) > 1 else None,
        "params": dict(trial.params),
        "reason": trial.user_attrs.get("reason"),
        "spent": trial.user_attrs.get("spent") or {},
    }


def _owner(run: RunFiles) -> str:
    if not run.trials_owner.exists():
        run.trials_owner.parent.mkdir(parents=True, exist_ok=True)
        run.trials_owner.write_text(uuid.uuid4().hex, encoding="utf-8")
    return run.trials_owner.read_text(encoding="utf-8")
