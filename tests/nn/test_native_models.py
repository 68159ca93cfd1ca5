"""Our own encoders by name."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from mmbench.config.errors import UserError
from mmbench.config.model import EncoderSettings
from mmbench.nn.encoders import ImageEncoder, build_encoder
from mmbench.nn.native_models import NATIVE

SMALL = {"dim": 16, "depth": 2, "num_heads": 2, "patch_size": 8, "feed_forward_width": 24}


def _built(image_size: int = 32, **changed: Any) -> ImageEncoder:
    settings = {"library": "native", "name": "pixtral", "options": SMALL, "weights": "random", **changed}
    return build_encoder(EncoderSettings(**settings), image_size).eval()


@pytest.mark.parametrize("name", [*NATIVE, "mllama"])
def test_all_names_give_patch_tokens(name: str) -> None:
    encoder = _built(name=name)
    assert encoder(encoder.normalise(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))).shape == (2, 16, encoder.dim)
    assert encoder.dim == (32 if name == "mllama" else 16)
    assert encoder.depth == 2


def test_pixels_are_normalised_as_the_weights_expect() -> None:
    assert _built(name="aria").mean.flatten().tolist() == [0.5, 0.5, 0.5]
    torch.testing.assert_close(_built().mean.flatten(), torch.tensor([0.48145466, 0.4578275, 0.40821073]))


def test_weights_from_a_file(tmp_path: Path) -> None:
    path, images = tmp_path / "encoder.safetensors", torch.randn(1, 3, 32, 32)
    source = _built()
    save_file(source.state_dict(), path)
    torch.testing.assert_close(_built(weights=str(path))(images), source(images))
    with pytest.raises(UserError, match="could not be loaded"):
        _built(weights=str(path), options={**SMALL, "depth": 3})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "pixtrall"}, "unknown native encoder 'pixtrall'; did you mean 'pixtral'"),
        ({"options": {"dpeth": 2}}, "'dpeth' in the options of encoder 'pixtral'; did you mean 'depth'"),
        ({"name": "mllama", "options": {"dpeth": 2}}, "'dpeth' in the options of encoder 'mllama'"),
        ({"options": {"depth": "two"}}, "'depth' in the options of encoder 'pixtral' is 'two'; it must be a whole"),
        ({"options": {"activation": "swish"}}, "'activation' in the options .* must be one of silu, gelu"),
        ({"options": {**SMALL, "num_heads": 0}}, "the encoder's num_heads is 0; it must be a whole number of at least"),
        ({"options": {**SMALL, "std": [0.0, 1.0, 1.0]}}, "those of std above 0"),
        ({"name": "mllama", "options": {"depth": 0}}, "the encoder's depth is 0"),
        ({"name": "mllama", "options": {"grids": [[1]]}}, "each must be two numbers of at least 1"),
        ({"options": {**SMALL, "patch_size": 7}}, "32 pixels do not divide into the 7-pixel patches"),
        ({"weights": "pretrained"}, "has no weights of its own on any hub: set encoder.weights to the path"),
        ({"weights": "/no/such/file.safetensors"}, "there is no such file: give"),
    ],
)
def test_mistakes_are_one_sentence(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        _built(**changed)
    assert "\n" not in str(raised.value)
