"""The steps before the cells: data, starting point, and the text-only score before training."""

import functools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmbench.config.budget import Budget, parse_budget
from mmbench.config.errors import UserError
from mmbench.config.load import load_settings_file
from mmbench.config.model import SystemSettings
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.family import Family
from mmbench.harness.applicable import check_decisive, data_tasks
from mmbench.harness.flops import count_step_flops
from mmbench.harness.matching import match_parameters, save_matching, with_widths
from mmbench.harness.meter import Meter
from mmbench.harness.opened import cache_dir, open_run
from mmbench.harness.run_files import RunFiles, write_json
from mmbench.harness.stages import described
from mmbench.harness.starting_point import (
    assemble,
    pretrain,
    pretraining_plan,
    shared_parts,
    starting_point_ledger,
    untrained,
)
from mmbench.harness.starting_text import measure_starting_text


def prepare_data(root: Path, trial_budget: str = "") -> None:
    """Decode the images, make the tokenizer, match the systems, check their options, and write ``data.json``.

    Args:
        root: of the run.
        trial_budget: what a trial before the cells spends; empty where there is none.

    Raises:
        UserError: data or a system's settings cannot be used.
    """
    files = RunFiles(root)
    settings = load_settings_file(files.comparison)

    def tell(done: int, total: int) -> None:
        write_json(files.preparation_progress, {"phase": "decoding images", "fraction": done / max(1, total)})

    datamodule = MultimodalDataModule(settings, cache_dir(files), seed=0, progress=tell)
    datamodule.prepare_data()
    datamodule.setup()
    if settings.match != "none":
        parts_of = functools.partial(shared_parts, datamodule=datamodule, runs_dir=files.runs_dir)
        matched = match_parameters(untrained(settings), parts_of)
        save_matching(settings, matched, files)
        settings.systems = with_widths(settings.systems, matched)
    stages: dict[str, list[dict[str, Any]]] = {}
    for name, system in settings.systems.items():
        family = assemble(system, untrained(settings), datamodule, files.runs_dir)
        check_budget(name, system, family, settings, datamodule)
        check_decisive(name, family, datamodule, settings)
        stages[name] = [described(family, stage) for stage in system.stages]
        if trial_budget:
            _check_trial_budget(name, system, family, replace(settings, budget=trial_budget), datamodule)
    dataset = datamodule.dataset
    aside = [{"id": one.id, "reason": one.reason} for split in dataset.splits.values() for one in split.set_aside]
    datamodule.tokenizer.save(files.tokenizer)
    frequent = datamodule.frequent_answers
    write_json(files.answers, {"texts": frequent.texts, "covered": frequent.covered})
    datamodule.keep(files.prepared)
    write_json(
        files.data,
        {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "tokenizer_hash": datamodule.tokenizer.hash[:16],
            "vocab_size": datamodule.tokenizer.vocab_size,
            "redistributable": dataset.redistributable,
            "set_aside": aside,
            "left_out": dict(dataset.left_out) | {f"{k} texts": v for k, v in datamodule.num_left_out.items() if v},
            "splits": dataset.report(),
            "tasks": data_tasks(datamodule),
        },
    )
    write_json(files.stages, stages)


def parts_to_pretrain(root: Path) -> None:
    """Write which parts have to be pretrained, and where, to ``pretraining.plan.json``."""
    opened = open_run(root)
    plan = pretraining_plan(opened.settings, opened.datamodule, opened.files.runs_dir)
    write_json(opened.files.pretraining_plan, {name: str(one.files.root) for name, one in plan.items()})


def pretrain_part(root: Path, name: str) -> None:
    """Make one part of the starting point, by its name in the plan, if it is not there."""
    opened = open_run(root)
    one = pretraining_plan(opened.settings, opened.datamodule, opened.files.runs_dir)[name]
    pretrain(one.settings, opened.datamodule, one.files, one.part)


def finish_starting_point(root: Path) -> None:
    """Write ``pretraining.json``, and the text-only loss of each language model before any cell trained it."""
    opened = open_run(root)
    ledger: list[dict[str, Any]] = starting_point_ledger(opened.settings, opened.datamodule, opened.files.runs_dir)
    measure_starting_text(opened)
    write_json(opened.files.pretraining, ledger)


def _check_trial_budget(
    name: str, system: SystemSettings, family: Family, settings: Settings, datamodule: MultimodalDataModule
) -> None:
    try:
        check_budget(name, system, family, settings, datamodule)
    except UserError as error:
        share = settings.tuning.budget_share
        raise UserError(f"a trial's {error}; it gets {share:.0%} (tuning.budget_share) of --budget") from None


def check_budget(
    name: str, system: SystemSettings, family: Family, settings: Settings, datamodule: MultimodalDataModule
) -> None:
    """See that every stage can be trained for at least half an optimiser step, the closest a budget is met.

    Raises:
        UserError: it cannot.
    """
    budget = parse_budget(settings.budget)
    if budget.unit == "s":
        return
    batch = datamodule.train_batch(0, 0, datamodule.batch_rows)
    for stage in system.stages:
        family.freeze_all_but(stage.train)
        flops = count_step_flops(family, batch) if budget.unit == "flops" else 0.0
        one_step = Meter(rows_per_epoch=datamodule.num_train_images)
        one_step.add_step(batch.totals, flops, 0.0, 0.0)
        cost = one_step.spent(budget.unit)
        if stage.share * budget.amount < cost / 2:
            least = Budget(math.ceil(cost / 2 / min(stage.share for stage in system.stages)), budget.unit)
            raise UserError(
                f"budget '{settings.budget}' is too small: a stage of system '{name}' gets {stage.share:.0%} of it, "
                f"less than half an optimiser step; give about {least} or more"
            )
