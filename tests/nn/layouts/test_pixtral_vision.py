"""Against Pixtral's vision tower, several images of different sizes at once."""

from typing import Any

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.nn.layouts import pixtral_vision
from mmbench.nn.native_encoder import NativeEncoder
from tests.nn.layouts.towers import check_both_ways, scrambled

transformers = pytest.importorskip("transformers")


@pytest.mark.parametrize(
    "changed",
    [
        {"patch_size": 4, "hidden_act": "silu"},
        {"patch_size": 8, "num_attention_heads": 4, "hidden_size": 48},
        {"patch_size": 4, "rope_parameters": {"rope_type": "axial", "rope_theta": 100.0}},
    ],
)
@torch.no_grad()
def test_hidden_states(changed: dict[str, Any]) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.PixtralVisionConfig(**{**sizes, "image_size": 32, **changed})
    tower = scrambled(transformers.PixtralVisionModel(config))
    ours = pixtral_vision.read_config(config.to_dict())
    images = torch.randn(3, 3, 32, 32)
    different = torch.tensor([[32, 16], [8, 24], [24, 32]])

    def outputs(encoder: Any) -> list[torch.Tensor]:
        of_one_size = torch.stack(encoder.features(images, [0, 1, 2])).flatten(1, 2)
        return [*of_one_size, encoder.forward_packed(images, different).tokens]

    def expected(theirs: Any) -> list[torch.Tensor]:
        of_one_size = theirs(images, output_hidden_states=True).hidden_states
        return [*torch.cat(of_one_size), theirs(images, image_sizes=different.tolist()).last_hidden_state[0]]

    check_both_ways(NativeEncoder(ours).eval(), tower, pixtral_vision.names(ours), outputs, expected)
    written = transformers.PixtralVisionConfig(**pixtral_vision.write_config(ours, image_size=32))
    assert written.to_dict() == config.to_dict()


def test_defaults_are_those_of_the_format() -> None:
    assert pixtral_vision.read_config({}) == pixtral_vision.read_config(transformers.PixtralVisionConfig().to_dict())


def test_the_rotary_base_may_stand_where_older_files_have_it() -> None:
    assert pixtral_vision.read_config({"rope_theta": 7.0}).rope_theta == 7


def test_another_encoder_cannot_be_written() -> None:
    with pytest.raises(UserError, match="option norm is layer, but in 'pixtral' it can only be rms"):
        pixtral_vision.write_config(NativeEncoder.Config(norm="layer"))
