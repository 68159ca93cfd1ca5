"""Against Aria's vision tower, with padded images of different sizes."""

from typing import Any

import pytest
import torch

from mmbench.nn.layouts import aria_vision
from mmbench.nn.native_encoder import NativeEncoder
from tests.nn.layouts.towers import check_both_ways, scrambled

transformers = pytest.importorskip("transformers")


@pytest.mark.parametrize(
    "changed",
    [
        {"image_size": 32, "patch_size": 4},
        {"image_size": 76, "patch_size": 4, "layer_norm_eps": 1e-3, "hidden_act": "gelu"},  # 19: rounding matters
        {
            "image_size": 16,
            "patch_size": 4,
            "hidden_size": 48,
            "num_attention_heads": 4,
        },  # larger than it was built for
    ],
)
@torch.no_grad()
def test_hidden_states(changed: dict[str, Any]) -> None:
    from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
    from transformers.models.idefics3.modeling_idefics3 import Idefics3VisionTransformer

    sizes = {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Idefics3VisionConfig(**{**sizes, **changed})
    tower = scrambled(Idefics3VisionTransformer(config))
    ours = aria_vision.read_config(config.to_dict())
    side = max(32, config.image_size)
    images = torch.randn(3, 3, side, side)
    different = torch.tensor([[32, 16], [8, 24], [20, side]])
    mask = torch.zeros(3, side // 4, side // 4, dtype=torch.bool)
    for row, (height, width) in enumerate((different // 4).tolist()):
        mask[row, :height, :width] = True

    def outputs(encoder: Any) -> list[torch.Tensor]:
        packed = [encoder.forward_packed(images, different, layer).tokens for layer in (2, None)]
        return [*encoder.features(images, [0, 1, 2]), encoder(images), *packed]

    def expected(theirs: Any) -> list[torch.Tensor]:
        whole = theirs(images, output_hidden_states=True)
        padded = theirs(images, patch_attention_mask=mask, output_hidden_states=True)
        packed = [states[mask.flatten(1)] for states in (padded.hidden_states[-1], padded.last_hidden_state)]
        return [*whole.hidden_states, whole.last_hidden_state, *packed]

    check_both_ways(NativeEncoder(ours).eval(), tower, aria_vision.names(ours), outputs, expected)
    content, written = config.to_dict(), aria_vision.write_config(ours)
    assert {key: content[key] for key in written} == written


def test_defaults_are_those_of_the_format() -> None:
    from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig

    assert aria_vision.read_config({}) == aria_vision.read_config(Idefics3VisionConfig().to_dict())
