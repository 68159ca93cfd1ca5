"""Every preset can be built at the scale of published checkpoints: its options fit their sizes."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from mmbench.config.load import load_settings
from mmbench.config.presets import preset_names
from mmbench.config.settings import Settings
from mmbench.config.system import objective_weights, own_settings
from mmbench.families.family import SharedParts
from mmbench.families.registry import build_family
from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import build_encoder
from tests.harness.test_presets import OTHER_NAMES

# The checkpoint of `small`, SmolLM2-135M, by its sizes; and a shape of CLIP's ViT-B/16, which open_clip builds slowly.
SIZES = {"width": 576, "depth": 30, "num_heads": 9, "num_kv_heads": 3, "feed_forward_width": 1536}
SHAPE = [
    "encoder.library=timm",
    "encoder.name=vit_base_patch16_224",
    *(f"language_model.{key}={value}" for key, value in SIZES.items()),
]
PRESETS = [name for name in preset_names("systems") if name not in OTHER_NAMES]


@cache
def settings_at_small() -> Settings:
    return load_settings(PRESETS, scale="small", data="scenes", overrides=SHAPE)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_at_small(name: str) -> None:
    settings = settings_at_small()
    system = settings.systems[name]
    own = own_settings(settings, system)
    assert "weights" in system.language_model or set(system.language_model) <= {"mrope_sections"}, "not a checkpoint's"
    of_encoder = own.encoder if system.encoder else replace(own.encoder, weights="random")
    with torch.device("meta"):
        encoder = build_encoder(of_encoder, settings.image_size)
        decoder = Decoder(Decoder.Config.from_settings(own.language_model, 49152))
        shared = SharedParts(encoder, decoder, 0, 1, image_size=settings.image_size, answers=[[2], [3]])
        family = build_family(system, shared, objective_weights(settings, system))
    for stage in system.stages:
        family.freeze_all_but(stage.train)
        assert any(parameter.requires_grad for parameter in family.parameters())
    assert settings.image_size % family.size_step == 0
    if isinstance(family, SeeingDecoder):
        assert family.decoder.config.depth == SIZES["depth"]
