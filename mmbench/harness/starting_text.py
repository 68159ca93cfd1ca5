"""The text-only loss of each language model that the systems start from, before any cell trained it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from mmbench.config.baselines import BLIND
from mmbench.config.model import SystemSettings
from mmbench.config.system import own_settings
from mmbench.families.registry import family_class
from mmbench.harness.cell import build, evaluated_splits, system_settings
from mmbench.harness.evaluate import text_losses
from mmbench.harness.opened import OpenedRun
from mmbench.harness.precision import device_of
from mmbench.harness.run_files import CellFiles
from mmbench.harness.starting_point import needs_pretraining, pretraining_files
from mmbench.harness.tables import SCORE_COLUMNS, ScoreTable, write_table


def starting_models(opened: OpenedRun) -> dict[str, str]:
    """Each system that reads text -> the first one that starts from the same language model.

    That is the blind baseline for all that start from the shared one.
    """
    first: dict[str, str] = {}
    found = {}
    for name in (BLIND, *opened.settings.systems):
        system = system_settings(opened.settings, name)
        if "text" in family_class(system.family).tasks:
            found[name] = first.setdefault(_language_model(opened, system), name)
    return found


def measure_starting_text(opened: OpenedRun) -> None:
    """Write the loss of every language model that a cell starts from, once each; what is there already stays."""
    trained = {*opened.settings.systems, *opened.settings.baselines}
    needed = dict.fromkeys(first for name, first in starting_models(opened).items() if name in trained)
    for name in needed:
        files = {split: _file(opened, split, name) for split in evaluated_splits(opened.datamodule)}
        if all(file.exists() for file in files.values()):
            continue
        untrained = replace(system_settings(opened.settings, name), stages=[])
        family = build(opened, untrained).to(device_of(opened.settings.trainer))
        for split, file in files.items():
            table = ScoreTable()
            losses = text_losses(family, opened.datamodule.split(split), opened.datamodule.tokenizer, opened.settings)
            table.add("text_loss_before", *losses)
            write_table(table.frame("", 0)[SCORE_COLUMNS[2:]], file)


def starting_text_scores(opened: OpenedRun, cells: Sequence[CellFiles], split: str) -> list[pd.DataFrame]:
    """For every cell that reads text, the loss on a split of the language model that it started from."""
    models = starting_models(opened)
    readers = [cell for cell in cells if cell.system in models]
    names = dict.fromkeys(models[cell.system] for cell in readers)
    tables = {name: pd.read_parquet(_file(opened, split, name)) for name in names}
    return [tables[models[each.system]].assign(system=each.system, seed=each.seed)[SCORE_COLUMNS] for each in readers]


def _file(opened: OpenedRun, split: str, name: str) -> Path:
    return opened.files.text_loss_before(split, "" if name == BLIND else name)


def _language_model(opened: OpenedRun, system: SystemSettings) -> str:
    """The same for systems that start from the same language model, and for no others."""
    if system.weights:
        return str(Path(system.weights).expanduser().resolve())
    own = own_settings(opened.run_settings, system)
    if needs_pretraining(own, opened.datamodule, "language_model"):
        return str(pretraining_files(own, opened.datamodule, opened.files.runs_dir, "language_model").root)
    model = replace(own.language_model, mrope_sections=None)  # text is read the same with them
    drawn = model.config or model.weights in ("text", "random")
    # What is drawn at random is drawn after the encoder, and differs behind one of other sizes.
    return json.dumps([asdict(model), asdict(own.encoder) if drawn else None], sort_keys=True)
