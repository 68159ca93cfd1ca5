"""What the systems of a comparison start from."""

from pathlib import Path

import pytest

from mmbench.config.baselines import BLIND
from mmbench.config.load import load_settings
from mmbench.config.model import SystemSettings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.harness.starting_point import assemble, pretraining_plan


@pytest.mark.parametrize("systems", [["pixtral"], ["pixtral", "qwen2-vl"]])
def test_a_shared_encoder_that_every_system_does_without_is_neither_pretrained_nor_asked_for(
    systems: list[str], tmp_path: Path
) -> None:
    """The blind baseline, which is built on the shared parts, needs no file of it."""
    few = {"train": 24, "validation": 8, "test": 8, "composition": 0}
    overrides = [f"data.sources=[{{format: scenes, scenes: {few}}}]", "language_model.weights=random"]
    settings = load_settings(systems, overrides=overrides)
    datamodule = MultimodalDataModule(settings, tmp_path / "cache", seed=0)
    datamodule.prepare_data()
    datamodule.setup()
    assert list(pretraining_plan(settings, datamodule, tmp_path)) == [f"encoder of {name}" for name in systems]
    blind = assemble(SystemSettings(family=BLIND), settings, datamodule, tmp_path)
    assert set(blind.parts()) == {"language_model"}
