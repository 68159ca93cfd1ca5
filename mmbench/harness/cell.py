"""One cell of a comparison: a system trained with a seed and scored, resumable at any moment."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mmbench.config.baselines import BLIND, CHANCE, MAJORITY
from mmbench.config.budget import parse_budget
from mmbench.config.data import DataSettings
from mmbench.config.errors import UserError
from mmbench.config.model import SystemSettings
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.example import COMPOSITION, TEST
from mmbench.families.family import Family
from mmbench.harness.applicable import UNTRAINED_ABILITY, Ability, not_applicable
from mmbench.harness.baselines import Baseline, chance, evaluate_baseline, majority
from mmbench.harness.evaluate import Evaluation, evaluate_split
from mmbench.harness.failures import NonFiniteLossError
from mmbench.harness.meter import Meter
from mmbench.harness.micro_batch import with_rows_that_fit
from mmbench.harness.opened import OpenedRun, open_cell
from mmbench.harness.precision import device_of
from mmbench.harness.processes import TaskFailedError
from mmbench.harness.rank import train_in_ranks
from mmbench.harness.run_files import CellFiles, RunFiles, TrialFiles, write_json
from mmbench.harness.spending import peak_memory_bytes
from mmbench.harness.starting_point import assemble, untrained
from mmbench.harness.tables import write_table
from mmbench.harness.training import restore, train
from mmbench.harness.tuned import tuned_values, tuning_ledger
from mmbench.harness.verdict import watched

_COSTED_IMAGES = 32
"""Of so many test images what they cost is averaged: where they differ in size, they differ in tokens."""
_BLIND = SystemSettings(family=BLIND, paper="the language model alone, image withheld")


def run_cell(root: Path, system: str, seed: int) -> None:
    """Train and score one cell of the run at ``root``; what an earlier, interrupted process did is not done again.

    Raises:
        UserError, TaskFailedError: why the cell failed.
    """
    began_s = time.monotonic()
    opened, files = open_cell(RunFiles(root).cell(system, seed).root)
    files.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    cell = {"system": system, "seed": seed, "reason": None, **files.read()}
    if system in _UNTRAINED:
        cell |= {"kind": "baseline", "status": "evaluating", "family": system, "paper": "", "stages": [], "ledger": {}}
        files.write(cell)
        baseline, asked = _UNTRAINED[system](opened.datamodule, seed), opened.settings.evaluation
        _score(
            opened,
            files,
            lambda split: evaluate_baseline(baseline, opened.datamodule, split, asked, system=system, seed=seed),
        )
        cell["not_applicable"] = not_applicable(UNTRAINED_ABILITY, opened.datamodule, asked)
    else:
        settings = system_settings(opened.settings, system)
        cell |= {"kind": "baseline" if system == BLIND else "system", "status": "training"}
        cell |= {"family": settings.family, "paper": settings.paper, "values": tuned_values(opened.files, system)}
        files.write(cell)
        family, ledger, stages = trained(opened, files)
        evaluation_began_s = time.monotonic()
        cell |= {"status": "evaluating", "stages": stages, "ledger": ledger}
        if settings.weights:
            cell.setdefault("starting_weights_hash", _hash(Path(settings.weights).expanduser()))
        files.write(cell)
        _score(
            opened,
            files,
            lambda split: evaluate_split(
                family,
                opened.datamodule,
                split,
                opened.settings,
                system=system,
                seed=seed,
                progress=_progress(files, split),
            ),
        )
        ledger["evaluation_s"] = round(time.monotonic() - evaluation_began_s, 2)
        ledger["peak_memory_bytes"] = max(ledger["peak_memory_bytes"], peak_memory_bytes())
        ability = Ability.of(family)
        cell["not_applicable"] = not_applicable(ability, opened.datamodule, opened.settings.evaluation)
        cell["weights_hash"] = _hash(files.weights)
    cell["ledger"]["wall_s"] = round(cell["ledger"].get("wall_s", 0.0) + time.monotonic() - began_s, 2)
    files.write(cell | {"status": "done"})


def system_settings(settings: Settings, system: str) -> SystemSettings:
    """The settings of a system of the comparison, or of the blind baseline."""
    return _BLIND if system == BLIND else settings.systems[system]


def load_cell(cell_dir: Path, data: DataSettings | None = None) -> tuple[Family, OpenedRun, CellFiles]:
    """A trained cell from its folder, on the device it would be evaluated on.

    Args:
        cell_dir: ``runs/NAME/cells/SYSTEM/seedK``.
        data: other data in the place of the run's.

    Raises:
        UserError: the cell has no trained weights.
    """
    if not CellFiles(cell_dir.resolve()).weights.exists():
        raise UserError(f"'{cell_dir}' has no trained weights: give a cell that has finished training")
    opened, files = open_cell(cell_dir.resolve(), data)
    # The cell's weights hold all parts: what they started from need not be there, and other data never had it.
    family = assemble(
        system_settings(opened.settings, files.system),
        untrained(opened.settings),
        opened.datamodule,
        opened.files.runs_dir,
        made_by=untrained(opened.run_settings),
    )
    restore(family, files.weights)
    return family.to(device_of(opened.settings.trainer)).eval(), opened, files


def build(opened: OpenedRun, system: SystemSettings, seed: int = 0) -> Family:
    """A system at its starting point: shared weights, and its own parts initialised by the training seed."""
    return assemble(system, opened.settings, opened.datamodule, opened.files.runs_dir, seed, opened.run_settings)


def train_cell(opened: OpenedRun, files: CellFiles) -> None:
    """Train a cell or a trial, unless it is trained; leaves weights, ledger and stages in its files.

    Where several processes train one cell, each calls this, and the first writes.

    Raises:
        TaskFailedError: the loss was no number, or memory did not suffice.
    """
    if files.weights.exists() and files.read().get("ledger"):
        return
    settings, system, seed = opened.settings, files.system, files.seed

    def attempt(rows: int) -> tuple[Family, Meter, list[dict[str, Any]], int]:
        """From the starting point, or from the checkpoint that an earlier attempt has left."""
        family = build(opened, system_settings(settings, system), seed)
        try:
            meter, stages = train(
                family,
                opened.datamodule,
                files,
                budget=parse_budget(settings.budget),
                stages=system_settings(settings, system).stages,
                recipe=settings.training,
                trainer_settings=replace(watched(settings, files), micro_batch_rows=rows),
                seed=seed,
            )
        except NonFiniteLossError as error:
            raise TaskFailedError(str(error)) from error
        except torch.OutOfMemoryError as error:
            if torch.distributed.is_initialized():  # The other processes wait for this one, and would not try again.
                raise TaskFailedError("out of memory: give a smaller trainer.micro_batch_rows") from error
            raise
        finally:
            opened.datamodule.trainer = None
        return family, meter, stages, rows

    most_rows = settings.trainer.micro_batch_rows or settings.training.batch_rows
    family, meter, stages, rows = with_rows_that_fit(attempt, most_rows, settings.training)
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        cost = mean_cost(family.cpu(), opened.datamodule)
        ledger = _ledger(meter, cost, stages, settings) | {"micro_batch_rows": rows}
        if not isinstance(files, TrialFiles):
            ledger |= tuning_ledger(opened.files, system)
        files.write(files.read() | {"ledger": ledger, "stages": stages})


def mean_cost(family: Family, datamodule: MultimodalDataModule) -> dict[str, int]:
    """What a test image costs, the mean over the first few, rounded; of images of one size one is asked about."""
    split = datamodule.split(TEST)
    indices = range(min(_COSTED_IMAGES, len(split)))
    of_size: dict[tuple[int, ...], list[int]] = {}
    for index, size in zip(indices, split.sizes(indices).tolist(), strict=True):
        of_size.setdefault(tuple(size), []).append(index)
    total: Counter[str] = Counter()
    for same in of_size.values():
        cost = family.cost(split.images(same[:1]), split.sizes(same[:1]))
        total.update({name: value * len(same) for name, value in cost.items()})
    return {name: round(value / len(indices)) for name, value in total.items()}


def trained(opened: OpenedRun, files: CellFiles) -> tuple[Family, dict[str, Any], list[dict[str, Any]]]:
    """The family with its trained weights, its ledger, and what its stages trained."""
    if opened.settings.trainer.devices in (1, "1"):
        train_cell(opened, files)
    else:
        train_in_ranks(files.root)
    family = build(opened, system_settings(opened.settings, files.system))
    restore(family, files.weights)
    cell = files.read()
    return family.to(device_of(opened.settings.trainer)), cell["ledger"], cell["stages"]


def _ledger(
    meter: Meter,
    cost: dict[str, int],
    stages: list[dict[str, Any]],
    settings: Settings,
) -> dict[str, Any]:
    budget = parse_budget(settings.budget)
    spent = meter.spent(budget.unit)
    return {
        **cost,
        "parameters_trainable": max((stage["parameters_trainable"] for stage in stages), default=0),
        "flops": meter.flops,
        "samples": meter.samples,
        "tokens": meter.tokens,
        "steps": meter.steps,
        "epochs": round(meter.spent("epochs"), 3),
        "device_s": round(meter.device_s, 2),
        "waiting_s": round(meter.waiting_s, 2),
        "validation_s": round(meter.validation_s, 2),
        "peak_memory_bytes": max(meter.peak_memory_bytes, peak_memory_bytes()),
        "tuning": 0,
        "budget_asked": budget.amount if stages else 0,
        "budget_unit": budget.unit,
        "budget_spent": spent,
        "deviation": round(spent / budget.amount - 1, 6) if stages else 0.0,
    }


def _score(opened: OpenedRun, files: CellFiles, evaluate: Callable[[str], Evaluation]) -> None:
    """Score every evaluated split; scores first, predictions last, each file whole or not at all."""
    predictions = []
    for split in evaluated_splits(opened.datamodule):
        result = evaluate(split)
        write_table(result.scores, files.scores(split))
        predictions.append(result.predictions)
    write_table(pd.concat(predictions, ignore_index=True), files.predictions)


def evaluated_splits(datamodule: MultimodalDataModule) -> list[str]:
    """The test split, and the one of new compositions where the data has it."""
    names = datamodule.dataset.splits
    return [TEST, *([COMPOSITION] if COMPOSITION in names and names[COMPOSITION].examples else [])]


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _progress(files: CellFiles, split: str) -> Callable[[float], None]:
    def tell(fraction: float) -> None:
        phase = "evaluating" if split == TEST else f"evaluating {split}"
        write_json(files.progress, {"phase": phase, "fraction": fraction})

    return tell


_UNTRAINED: dict[str, Callable[[MultimodalDataModule, int], Baseline]] = {
    CHANCE: chance,
    MAJORITY: lambda datamodule, seed: majority(datamodule),
}
