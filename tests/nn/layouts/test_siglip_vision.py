"""Against the vision tower of ``siglip``."""

from typing import Any

import pytest
import torch

from mmbench.nn.encoders import build_encoder
from mmbench.nn.layouts import siglip_vision
from mmbench.nn.layouts.timm_vision import settings_of
from tests.nn.layouts.towers import check_both_ways, scrambled

transformers = pytest.importorskip("transformers")


@pytest.mark.parametrize(
    "changed",
    [
        {"image_size": 16, "patch_size": 4, "intermediate_size": 64},
        {"image_size": 24, "patch_size": 8, "hidden_act": "gelu", "layer_norm_eps": 1e-4},
        {"image_size": 12, "patch_size": 4, "hidden_size": 48, "vision_use_head": False},
    ],
)
@torch.no_grad()
def test_hidden_states(changed: dict[str, Any]) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 76, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.SiglipVisionConfig(**{**sizes, **changed})
    tower = scrambled(transformers.SiglipVisionModel(config))
    settings = siglip_vision.read_config(config.to_dict())
    encoder = build_encoder(settings, config.image_size).eval()
    images = torch.randn(2, 3, config.image_size, config.image_size)

    def expected(theirs: Any) -> list[torch.Tensor]:
        output = theirs(images, output_hidden_states=True)
        return [*output.hidden_states, output.last_hidden_state]

    table = siglip_vision.names(settings)
    check_both_ways(
        encoder, tower, table, lambda ours: [*ours.features(images, [0, 1, 2]), ours(images)], expected, "head."
    )
    written = siglip_vision.write_config(settings)
    content = config.to_dict()
    assert {key: content[key] for key in written} == written
    assert settings_of(encoder, settings.name) == settings  # type: ignore[arg-type]


def test_defaults_are_those_of_the_format() -> None:
    assert siglip_vision.read_config({}) == siglip_vision.read_config(transformers.SiglipVisionConfig().to_dict())
