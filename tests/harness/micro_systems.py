"""The three families at the scale of these tests, on its data, without a run."""

from pathlib import Path
from typing import Any

import torch

from mmbench.config.load import load_settings
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from tests.harness.comparisons import MICRO

FAMILIES = ["unified", "crossattn", "hybrid"]


def micro_settings(systems: list[str] | None = None, **asked: Any) -> Settings:
    """Settings of ``mmbench compare unified crossattn hybrid`` at the micro scale."""
    return load_settings(systems or FAMILIES, scale=str(MICRO), **asked)


def micro_datamodule(settings: Settings, cache: Path) -> MultimodalDataModule:
    """The prepared data of those settings."""
    torch.set_num_threads(1)
    datamodule = MultimodalDataModule(settings, cache, seed=0)
    datamodule.prepare_data()
    datamodule.setup()
    return datamodule
