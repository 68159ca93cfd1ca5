"""Every preset can be built at the scale of published checkpoints: its options fit their sizes."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from mmbench.config.load import load_settings
from mmbench.config.presets import find_preset, preset_names
from mmbench.config.settings import Settings
from mmbench.config.system import objective_weights, own_settings
from mmbench.config.yaml_text import read_yaml
from mmbench.families.family import SharedParts
from mmbench.families.registry import build_family
from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import ImageEncoder, build_encoder
from tests.harness.test_presets import OTHER_NAMES

# The checkpoints of the scales by their sizes: SmolLM2-135M and CLIP's ViT-B/16, Qwen2.5-7B and SigLIP's SO400M/14.
ENCODER = {"small": "vit_base_patch16_224", "base": "vit_so400m_patch14_siglip_378"}
SIZES = {
    "small": {"width": 576, "depth": 30, "num_heads": 9, "num_kv_heads": 3, "feed_forward_width": 1536},
    "base": {"width": 3584, "depth": 28, "num_heads": 28, "num_kv_heads": 4, "feed_forward_width": 18944},
}
PRESETS = [name for name in preset_names("systems") if name not in OTHER_NAMES]
OWN_AT_BASE = [name for name in PRESETS if "base" in read_yaml(find_preset("systems", name)).get("scales", {})]


@cache
def settings_at(scale: str, image_size: int) -> Settings:
    """All presets at once, as reading settings takes longer than building on no device."""
    shape = ["encoder.library=timm", f"encoder.name={ENCODER[scale]}", f"image_size={image_size}"]
    shape += [f"language_model.{key}={value}" for key, value in SIZES[scale].items()]
    return load_settings(PRESETS, scale=scale, data="scenes", overrides=shape)


@cache
def encoder_at(scale: str, image_size: int) -> ImageEncoder:
    """The one that systems share, without the weights that the scale names."""
    return build_encoder(replace(settings_at(scale, image_size).encoder, weights="random"), image_size)


@pytest.mark.parametrize(
    ("scale", "name"), [*(("small", name) for name in PRESETS), *(("base", name) for name in OWN_AT_BASE)]
)
def test_preset_at_the_size_of_checkpoints(scale: str, name: str) -> None:
    # Qwen2-VL's patches, two by two, do not divide the 378 pixels of `base`.
    settings = settings_at(scale, 224 if scale == "small" else 392 if name == "qwen2-vl" else 378)
    system = settings.systems[name]
    own = own_settings(settings, system)
    assert "weights" in system.language_model or set(system.language_model) <= {"mrope_sections"}, "not a checkpoint's"
    with torch.device("meta"):
        shared_encoder = encoder_at(scale, settings.image_size)
        encoder = build_encoder(own.encoder, settings.image_size) if system.encoder else shared_encoder
        decoder = Decoder(Decoder.Config.from_settings(own.language_model, 49152))
        shared = SharedParts(encoder, decoder, 0, 1, image_size=settings.image_size, answers=[[2], [3]])
        family = build_family(system, shared, objective_weights(settings, system))
    for stage in system.stages:
        family.freeze_all_but(stage.train)
        assert any(parameter.requires_grad for parameter in family.parameters())
    assert settings.image_size % family.size_step == 0
    if isinstance(family, SeeingDecoder):
        assert family.decoder.config.depth == SIZES[scale]["depth"]
