"""Against the vision towers of ``clip`` and ``idefics``."""

from typing import Any

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.nn.encoders import build_encoder
from mmbench.nn.layouts import clip_vision
from mmbench.nn.layouts.timm_vision import settings_of
from tests.nn.layouts.towers import check_both_ways, scrambled

transformers = pytest.importorskip("transformers")

SIZES = [
    {"image_size": 16, "patch_size": 4, "layer_norm_eps": 1e-3},
    {"image_size": 20, "patch_size": 5, "hidden_act": "gelu", "hidden_size": 40, "intermediate_size": 101},
]


def _sizes(changed: dict[str, Any]) -> dict[str, Any]:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
    return {**sizes, **changed}


def _tower(changed: dict[str, Any], idefics: bool) -> tuple[Any, dict[str, Any]]:
    if not idefics:
        config = transformers.CLIPVisionConfig(**_sizes(changed))
        return scrambled(transformers.CLIPVisionModel(config)), config.to_dict()
    from transformers.models.idefics.configuration_idefics import IdeficsVisionConfig
    from transformers.models.idefics.vision import IdeficsVisionTransformer

    sizes = _sizes(changed)
    config = IdeficsVisionConfig(embed_dim=sizes.pop("hidden_size"), **sizes)
    return scrambled(IdeficsVisionTransformer(config)), config.to_dict()


def _hidden_states(tower: Any, images: torch.Tensor) -> list[torch.Tensor]:
    """What enters the first layer, the output of each, and the normed class token."""
    states: list[torch.Tensor] = []
    hooks = [tower.encoder.layers[0].register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))]
    hooks += [
        layer.register_forward_hook(lambda _, __, output: states.append(output)) for layer in tower.encoder.layers
    ]
    pooled = tower(images).pooler_output
    for hook in hooks:
        hook.remove()
    return [*states, pooled]


@pytest.mark.parametrize("idefics", [False, True], ids=["clip", "idefics"])
@pytest.mark.parametrize("changed", SIZES)
@torch.no_grad()
def test_hidden_states(changed: dict[str, Any], idefics: bool) -> None:
    tower, content = _tower(changed, idefics)
    settings = clip_vision.read_config(content, idefics)
    encoder = build_encoder(settings, changed["image_size"]).eval()
    images = torch.randn(2, 3, changed["image_size"], changed["image_size"])

    def outputs(ours: Any) -> list[torch.Tensor]:
        states: list[torch.Tensor] = ours.features(images, [0, 1, 2, 3], class_token=True)
        return [*states, ours.final_norm(states[-1])[:, 0]]

    table = clip_vision.names(settings)
    check_both_ways(encoder, tower, table, outputs, lambda theirs: _hidden_states(theirs, images))
    written = clip_vision.write_config(settings, idefics)
    assert {key: content[key] for key in written} == written
    assert settings_of(encoder, settings.name) == settings  # type: ignore[arg-type]


@torch.no_grad()
def test_llavas_penultimate_layer_needs_no_last_one() -> None:
    tower, content = _tower(SIZES[0], idefics=False)
    settings = clip_vision.read_config(content)
    encoder = build_encoder(settings, 16).eval()
    encoder.keep_layers(2)
    images = torch.randn(2, 3, 16, 16)
    from mmbench.nn.tensor_names import to_ours

    kept = settings_of(encoder, settings.name)  # type: ignore[arg-type]
    encoder.load_state_dict(to_ours(dict(tower.state_dict()), clip_vision.names(kept, final_norm=False)))
    expected = tower(images, output_hidden_states=True).hidden_states[-2][:, 1:]
    torch.testing.assert_close(encoder.features(images, [-2])[0], expected, atol=1e-4, rtol=1e-4)


def test_defaults_are_those_of_the_format() -> None:
    assert clip_vision.read_config({}) == clip_vision.read_config(transformers.CLIPVisionConfig().to_dict())
    vision = transformers.IdeficsConfig().vision_config.to_dict()
    assert clip_vision.read_config({}, idefics=True) == clip_vision.read_config(vision, idefics=True)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hidden_act": "tanh"}, "hidden_act 'tanh', but only"),
        ({"hidden_act": "relu2"}, "hidden_act 'relu2', which timm does not have"),
        ({"num_channels": 4}, "images of 4 channels, but only 3"),
        ({"image_size": [16, 32]}, r"image_size \[16, 32\], but only one number"),
    ],
)
def test_what_cannot_be_read(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        clip_vision.read_config(changed)
