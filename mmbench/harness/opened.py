"""What every process of a run opens first: the settings as resolved, the data, and where things lie."""

from dataclasses import dataclass
from pathlib import Path

import torch

from mmbench.config.data import DataSettings
from mmbench.config.load import load_settings_file
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.harness.matching import load_matching, with_widths
from mmbench.harness.run_files import RunFiles, read_json
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


def open_run(root: Path, seed: int = 0, data: DataSettings | None = None) -> OpenedRun:
    """Open a run, and make the process as the probe decided: threads and attention kernel.

    Args:
        root: ``runs/NAME``.
        seed: the training seed.
        data: other data in the place of the run's own; the tokenizer stays the run's.
    """
    files = RunFiles(root)
    settings = load_settings_file(files.comparison)
    apply_probe(settings, files)
    if settings.match != "none":
        settings.systems = with_widths(settings.systems, load_matching(files))
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
    return OpenedRun(files, settings, datamodule)


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
