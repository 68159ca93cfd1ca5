"""One trial of a search, in a process of its own: a cell by other values, scored on the validation split alone."""

import json
import shutil
import statistics
import time
from pathlib import Path

from mmbench.config.baselines import BLIND
from mmbench.config.errors import UserError
from mmbench.config.settings import Settings
from mmbench.data.example import VALIDATION
from mmbench.data.prompts import CAPTION_PROMPT
from mmbench.families.family import Family
from mmbench.harness.cell import not_applicable, system_settings, trained
from mmbench.harness.evaluate import evaluate_split
from mmbench.harness.objective import VALIDATION_LOSS, objective
from mmbench.harness.opened import OpenedRun, open_cell
from mmbench.harness.precision import inference
from mmbench.harness.processes import TaskFailedError
from mmbench.harness.run_files import RunFiles, TrialFiles, read_json, write_json
from mmbench.harness.tables import write_table
from mmbench.harness.timing import seconds
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
    reason = not_applicable(opened.datamodule, reads_text=True, split=VALIDATION).get(metric.split("@")[0])
    if reason is not None:
        raise UserError(f"trials cannot be scored by {metric}: {reason}")
    files.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    described = system_settings(opened.settings, system)
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
        latency_s = _caption_seconds(opened, family) if cost == "latency" else None
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


def _caption_seconds(opened: OpenedRun, family: Family) -> float:
    """Median seconds from one image to its caption of a fixed number of tokens."""
    settings: Settings = opened.settings
    plan = settings.latency
    images = opened.datamodule.split(VALIDATION).images([0]).to(family.device)
    prompt = [opened.datamodule.tokenizer.encode(CAPTION_PROMPT)]
    end, family.eos_id = family.eos_id, -1  # No token ends the text: every trial generates the same number.
    times: list[float] = []
    try:
        with inference(settings.trainer, family.device):
            for _ in range(plan.warmup + max(1, plan.repeats)):
                times.append(seconds(lambda: family.generate(family.see(images), prompt, plan.tokens), family.device))
    finally:
        family.eos_id = end
    return statistics.median(times[plan.warmup :])
