"""A sweep: a search for values of one system or several, each in a study of its own, without cells after it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from mmbench.config.load import load_settings_file, save_settings
from mmbench.config.settings import Settings
from mmbench.config.space import check_tuning
from mmbench.config.whole_file import whole_file
from mmbench.harness.compare import Comparison, claim, locked
from mmbench.harness.csv_file import write_csv
from mmbench.harness.objective import check_metric
from mmbench.harness.run_files import RunFiles, write_json
from mmbench.harness.tracking import check_tracking_uri, tracking_uri
from mmbench.harness.tuning import Search


def run_sweep(settings: Settings, runs_dir: Path, *, jobs: int | None, command: str, storage: str) -> RunFiles:
    """Run, or go on running, the sweep ``runs_dir / settings.name``; more trials than before may be asked for.

    Args:
        settings: resolved; ``budget`` and ``tuning`` are those of a trial.
        runs_dir: where runs lie.
        jobs: trials side by side; if None, as many as the machine has cores (or GPUs) for.
        command: what repeats the sweep.
        storage: an Optuna storage's URL, which several machines may share; empty for the run's own file.

    Returns:
        The run's files, with ``sweep.json`` and ``trials.csv``.

    Raises:
        UserError: what is searched for cannot be, or the run was made with other settings or is being run.
    """
    check_metric(settings.tuning.metric, evaluation=settings.evaluation)
    check_tuning(settings, compared=False)
    run = RunFiles(runs_dir.resolve() / settings.name)
    check_tracking_uri(tracking_uri(settings.tracking.uri, run.runs_dir))
    with locked(run):
        if run.comparison.exists():
            num_trials = load_settings_file(run.comparison).tuning.trials
            claim(run, replace(settings, tuning=replace(settings.tuning, trials=num_trials)), command)
            save_settings(settings, run.comparison)
        else:
            claim(run, settings, command)
        return _Sweep(run, settings, jobs, storage).run()


_COLUMNS = ("system", "number", "state", "value", "cost", "reason", "front")
"""Of the table of trials, before what they spent and their values."""


class _Sweep(Comparison):
    """The steps before a comparison's cells, then the search."""

    noun = "trial"

    def __init__(self, run: RunFiles, settings: Settings, jobs: int | None, storage: str) -> None:
        super().__init__(run, settings, jobs)
        self.storage = storage
        self.display.plan([])

    def _trial_budget(self) -> str:
        return self.settings.budget

    def _do(self) -> None:
        settings = self.settings
        search = Search(
            self.files, settings, list(settings.systems), self._trial_budget(), self.storage, self.display, self._note
        )
        try:
            search.run(self._processes(), self._slots())
        finally:
            # Also of what was there when the sweep was interrupted.
            save_sweep(search.record(), self.files)


def save_sweep(found: dict[str, Any], files: RunFiles) -> None:
    """Write ``sweep.json`` and ``trials.csv``."""
    write_json(files.sweep, found)
    with whole_file(files.trials_table) as part:
        write_csv(trials_table(found), part)


def trials_table(found: dict[str, Any]) -> pd.DataFrame:
    """Every trial of a sweep's record, one a row: state, metric, cost, what it spent, and its values by dotted key."""
    rows = []
    for system, one in found["systems"].items():
        for trial in one["trials"]:
            values = {key.replace(f"systems.{system}.", "system."): value for key, value in trial["params"].items()}
            ended = {key: trial[key] for key in ("number", "state", "value", "cost", "reason")}
            front = trial["number"] in one["front"]
            rows.append({"system": system, **ended, "front": front, **trial["spent"], **values})
    columns = dict.fromkeys([*_COLUMNS, *(column for row in rows for column in row)])
    table = pd.DataFrame(rows, columns=list(columns)).rename(columns={"value": found["metric"]})
    return table.drop(columns="cost") if found["cost"] == "none" else table.rename(columns={"cost": found["cost"]})
