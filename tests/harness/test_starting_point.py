"""What the systems of a comparison start from."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch

from mmbench.config.baselines import BLIND
from mmbench.config.errors import UserError
from mmbench.config.load import load_settings
from mmbench.config.model import LanguageModelSettings, SystemSettings
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.harness.starting_point import assemble, pretraining_plan
from mmbench.nn.checkpoint import save_language_model
from mmbench.nn.decoder import Decoder

FEW = {"train": 24, "validation": 8, "test": 8, "composition": 0}
"""Scenes of each split."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, MultimodalDataModule]:
    """A comparison whose language model is a checkpoint."""
    folder = tmp_path_factory.mktemp("checkpoint")
    sizes = {"width": 64, "depth": 2, "num_heads": 2, "num_kv_heads": 1, "feed_forward_width": 48}
    save_language_model(Decoder(Decoder.Config(300, **sizes)), folder)
    overrides = [f"data.sources=[{{format: scenes, scenes: {FEW}}}]", "tokenizer.vocab_size=300"]
    overrides += [f"language_model.weights={folder}", "encoder.weights=random"]
    settings = load_settings(["unified"], overrides=overrides)
    settings.tokenizer.path = str(_tokenizer(settings, folder))
    datamodule = MultimodalDataModule(settings, folder / "cache", seed=0)
    datamodule.prepare_data()
    datamodule.setup()
    return settings, datamodule


def _tokenizer(settings: Settings, folder: Path) -> Path:
    """The tokenizer that a folder's weights came with."""
    trained = replace(settings, language_model=LanguageModelSettings(weights="random"))
    datamodule = MultimodalDataModule(trained, folder / "cache", seed=0)
    datamodule.prepare_data()
    datamodule.setup()
    datamodule.tokenizer.save(folder / "tokenizer.json")
    return folder


def test_a_checkpoint_gets_the_sections_that_a_system_gives(
    prepared: tuple[Settings, MultimodalDataModule], tmp_path: Path
) -> None:
    settings, datamodule = prepared
    given = {"mrope_sections": "auto", "depth": 2}
    system = SystemSettings(language_model=given, options={"connector": "mlp"})
    family = cast(SeeingDecoder, assemble(system, settings, datamodule, tmp_path))
    without = cast(SeeingDecoder, assemble(SystemSettings(), settings, datamodule, tmp_path))
    assert family.decoder.config == replace(without.decoder.config, mrope_sections=[4, 6, 6])
    for name, tensor in without.decoder.state_dict().items():
        assert torch.equal(family.decoder.state_dict()[name], tensor), name
    images = torch.zeros(1, 3, 48, 48, dtype=torch.uint8)
    assert family.see(images).prefix_positions is not None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"experts": {"num_experts": 4}}, "language_model.experts is .*weights: text.*weights: random"),
        ({"depth": 3}, "language_model.depth is 3, but the checkpoint '.*' has 2: leave it out, or"),
        ({"mrope_sections": [8, 12, 12]}, "add up to 16"),
    ],
)
def test_what_a_checkpoint_has_not(
    prepared: tuple[Settings, MultimodalDataModule], given: dict[str, object], message: str, tmp_path: Path
) -> None:
    settings, datamodule = prepared
    with pytest.raises(UserError, match=message):
        assemble(SystemSettings(language_model=given), settings, datamodule, tmp_path)


def test_a_system_may_have_a_language_model_of_its_own_beside_a_checkpoint(
    prepared: tuple[Settings, MultimodalDataModule], tmp_path: Path
) -> None:
    settings, datamodule = prepared
    system = SystemSettings(language_model={"weights": "random", "depth": 3, "experts": {"num_experts": 4}})
    family = cast(SeeingDecoder, assemble(system, settings, datamodule, tmp_path))
    assert (family.decoder.config.depth, family.decoder.config.experts.num_experts) == (3, 4)


@pytest.mark.parametrize("systems", [["pixtral"], ["pixtral", "qwen2-vl"]])
def test_a_shared_encoder_that_every_system_does_without_is_neither_pretrained_nor_asked_for(
    systems: list[str], tmp_path: Path
) -> None:
    """The blind baseline, which is built on the shared parts, needs no file of it."""
    overrides = [f"data.sources=[{{format: scenes, scenes: {FEW}}}]", "language_model.weights=random"]
    settings = load_settings(systems, overrides=overrides)
    datamodule = MultimodalDataModule(settings, tmp_path / "cache", seed=0)
    datamodule.prepare_data()
    datamodule.setup()
    assert list(pretraining_plan(settings, datamodule, tmp_path)) == [f"encoder of {name}" for name in systems]
    blind = assemble(SystemSettings(family=BLIND), settings, datamodule, tmp_path)
    assert set(blind.parts()) == {"language_model"}
