"""What every process of a run opens first: the settings as resolved, the data, and where things lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmbench.config.data import DataSettings
from mmbench.config.load import load_settings_file
from mmbench.config.settings import Settings
from mmbench.config.space import with_values
from mmbench.data.answers import FrequentAnswers
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.harness.matching import load_matching, with_widths
from mmbench.harness.run_files import CellFiles, RunFiles, TrialFiles, read_json
from mmbench.harness.tuned import tuned_values
from mmbench.nn.attention import set_attention_kernel


@dataclass
class OpenedRun:
    """A run's settings and data, in this process."""

    files: RunFiles
    """Where the run lies."""
    settings: Settings
    """With what the probe decided in the place of ``auto``."""
    datamodule: MultimodalDataModule
    """Prepared and set up."""
    run_settings: Settings
    """The settings without the values of a trial or a tuned system: what the common starting point was made by."""


def open_cell(folder: Path, data: DataSettings | None = None) -> tuple[OpenedRun, CellFiles]:
    """Open the run of a cell or a trial by the settings that this one trains by: with its system's tuned values.

    Args:
        folder: ``runs/NAME/cells/SYSTEM/seedK`` or ``runs/NAME/trials/SYSTEM/0007``.
        data: other data in the place of the run's.
    """
    run = RunFiles(folder.parents[2])
    if folder.parents[1].name == "trials":
        trial = TrialFiles(folder)
        asked = read_json(trial.trial)
        return open_run(run.root, trial.seed, data, {"budget": asked["budget"], **asked["values"]}), trial
    files = CellFiles(folder)
    return open_run(run.root, files.seed, data, tuned_values(run, files.system)), files


def open_run(
    root: Path, seed: int = 0, data: DataSettings | None = None, values: Mapping[str, Any] | None = None
) -> OpenedRun:
    """Open a run, and make the process as the probe decided: threads and attention kernel.

    Args:
        root: ``runs/NAME``.
        seed: the training seed.
        data: other data in the place of the run's own; the tokenizer and the frequent answers stay the run's.
        values: what differs from the run's settings, by dotted key.
    """
    files = RunFiles(root)
    settings = load_settings_file(files.comparison)
    apply_probe(settings, files)
    if settings.match != "none":
        settings.systems = with_widths(settings.systems, load_matching(files))
    run_settings = settings
    if values:
        settings = with_values(settings, values)
    if settings.trainer.threads:
        torch.set_num_threads(settings.trainer.threads)
    if settings.trainer.attention != "auto":
        set_attention_kernel(settings.trainer.attention)
    if data is not None:
        settings.tokenizer.path = str(files.tokenizer)
        settings.data = data
    datamodule = MultimodalDataModule(settings, cache_dir(files), seed)
    if data is not None or not datamodule.take_up(files.prepared):
        datamodule.prepare_data()
        datamodule.setup()
    if data is not None and files.answers.exists():
        datamodule.frequent_answers = FrequentAnswers.of(**read_json(files.answers))
    return OpenedRun(files, settings, datamodule, run_settings)


def apply_probe(settings: Settings, files: RunFiles) -> None:
    """Put what the probe decided in the place of ``auto``, where it has decided."""
    if not files.probe.exists():
        return
    decided = read_json(files.probe)
    if settings.trainer.precision == "auto":
        settings.trainer.precision = decided["precision"]
    if settings.trainer.attention == "auto":
        settings.trainer.attention = decided["attention"]
    settings.trainer.threads = settings.trainer.threads or decided["threads"]
    settings.trainer.micro_batch_rows = settings.trainer.micro_batch_rows or decided["micro_batch_rows"]


def cache_dir(files: RunFiles) -> Path:
    """Decoded images and tokenizers, shared by all runs of a folder."""
    return files.runs_dir / "cache"
