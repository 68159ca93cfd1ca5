"""One trial of a search, in a process of its own: a cell by other values, scored on the validation split alone."""

import json
import shutil
import time
from pathlib import Path

from mmbench.config.baselines import BLIND
from mmbench.config.errors import UserError
from mmbench.config.settings import Settings
from mmbench.data.example import VALIDATION
from mmbench.families.family import Family
from mmbench.harness.applicable import Ability, not_applicable
from mmbench.harness.cell import build, system_settings, trained
from mmbench.harness.evaluate import evaluate_split
from mmbench.harness.latency import Texts, seconds_of_task
from mmbench.harness.objective import VALIDATION_LOSS, objective, task_of
from mmbench.harness.opened import OpenedRun, open_cell
from mmbench.harness.precision import inference
from mmbench.harness.processes import TaskFailedError
from mmbench.harness.run_files import RunFiles, TrialFiles, read_json, write_json
from mmbench.harness.tables import write_table
from mmbench.harness.verdict import TrialPrunedError, read_verdict


def run_trial(root: Path, system: str, number: int) -> None:
    """Train and score one trial; what an earlier, interrupted process did is not done again.

    Raises:
        UserError, TaskFailedError: why the trial failed.
    """
    began_s = time.monotonic()
    opened, _ = open_cell(RunFiles(root).trial(system, number).root)
    files = opened.files.trial(system, number)
    metric = opened.settings.tuning.metric
    described = system_settings(opened.settings, system)
    ability = Ability.of(build(opened, described))
    reasons = not_applicable(ability, opened.datamodule, opened.settings.evaluation, VALIDATION)
    if (reason := reasons.get(metric.split("@")[0])) is not None:
        raise UserError(f"trials of {system} cannot be scored by {metric}: {reason}")
    files.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    cell = {"system": system, "seed": files.seed, "reason": None, **files.read()}
    cell |= {"kind": "baseline" if system == BLIND else "system", "trial": number, "status": "training"}
    cell |= {"family": described.family, "paper": described.paper, "values": read_json(files.trial)["values"]}
    files.write(cell)
    try:
        family, ledger, stages = trained(opened, files)
    except (TrialPrunedError, TaskFailedError):
        if not read_verdict(files)["stop"]:
            raise
        cell |= {"status": "pruned", "ledger": read_json(files.spent)}
    else:
        cell |= {"status": "evaluating", "stages": stages, "ledger": ledger}
        files.write(cell)
        cell["scores"] = _scores(opened, files, family)
        cost = opened.settings.tuning.cost
        latency_s = _latency(opened, family) if cost == "latency" else None
        cell["objective"] = objective(opened.settings.tuning, cell["scores"], ledger, latency_s)
        cell["status"] = "done"
    cell["ledger"]["wall_s"] = round(time.monotonic() - began_s, 2)
    files.write(cell)
    # Its numbers stay; nobody goes on from the weights of a trial.
    shutil.rmtree(files.checkpoint.parent, ignore_errors=True)


def _scores(opened: OpenedRun, files: TrialFiles, family: Family) -> dict[str, float]:
    """Means over the validation split, and the validation losses at the end of the budget."""

    def tell(fraction: float) -> None:
        write_json(files.progress, {"phase": "evaluating", "fraction": fraction})

    result = evaluate_split(
        family,
        opened.datamodule,
        VALIDATION,
        opened.settings,
        system=files.system,
        seed=files.seed,
        progress=tell,
    )
    write_table(result.scores, files.scores(VALIDATION))
    write_table(result.predictions, files.predictions)
    lines = map(json.loads, files.log.read_text(encoding="utf-8").splitlines())
    losses = [line for line in lines if VALIDATION_LOSS in line][-1]
    means = {name: value for name, value in losses.items() if name.startswith("validation_") and value is not None}
    return means | {str(name): float(mean) for name, mean in result.scores.groupby("metric")["score"].mean().items()}


def _latency(opened: OpenedRun, family: Family) -> float:
    """Median seconds of what the metric's task makes a user wait for, of one image."""
    settings: Settings = opened.settings
    split = opened.datamodule.split(VALIDATION)
    images, sizes = split.images([0]).to(family.device), split.sizes([0]).to(family.device)
    texts = Texts.of(opened.datamodule, split, settings.evaluation.max_answer_tokens)
    with inference(settings.trainer, family.device):
        return seconds_of_task(family, task_of(settings.tuning.metric), images, sizes, texts, settings.latency)
