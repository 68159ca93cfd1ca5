"""The encoder of tiles; its numbers are compared with the reference in ``layouts/test_mllama_vision.py``."""

from typing import Any

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.nn.tiled_encoder import TiledEncoder
from tests.nn.layouts.towers import scrambled

SMALL = {"dim": 16, "depth": 3, "num_heads": 2, "feed_forward_width": 24, "patch_size": 4, "tile_size": 8}


def _encoder(**changed: Any) -> TiledEncoder:
    encoder: TiledEncoder = scrambled(TiledEncoder(TiledEncoder.Config(**{**SMALL, **changed})))
    return encoder


def _tiles(num_images: int, num_tiles: int) -> torch.Tensor:
    return torch.randn(num_images, num_tiles, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_an_image_does_not_depend_on_its_batch_nor_on_what_empty_tiles_hold() -> None:
    encoder = _encoder()
    tiles, grids = _tiles(2, 3), torch.tensor([[1, 3], [2, 1]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    together = encoder.forward_tiles(tiles, mask, grids)
    assert together.shape == (2, 3, 1 + 4, 32)
    alone = encoder.forward_tiles(tiles[1:, :2], mask[1:, :2], grids[1:])
    torch.testing.assert_close(together[1, :2], alone[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_tiles_see_one_another_and_their_grid() -> None:
    encoder = _encoder()
    tiles, mask = _tiles(1, 2), torch.ones(1, 2, dtype=torch.bool)
    tokens = encoder.forward_tiles(tiles, mask, torch.tensor([[1, 2]]))
    assert not torch.allclose(tokens, encoder.forward_tiles(tiles, mask, torch.tensor([[2, 1]])), atol=1e-3)
    tiles[0, 1] += 1
    assert not torch.allclose(tokens[0, 0], encoder.forward_tiles(tiles, mask, torch.tensor([[1, 2]]))[0, 0], atol=1e-3)


@torch.no_grad()
def test_an_image_as_one_tile() -> None:
    encoder = _encoder(intermediate_layers=[1, 3])
    images = _tiles(2, 1)[:, 0]
    tokens = encoder(images)
    assert tokens.shape == (2, encoder.num_tokens(8), encoder.dim) == (2, 4, 48)
    as_tiles = encoder.forward_tiles(images[:, None], torch.ones(2, 1, dtype=torch.bool), torch.ones(2, 2).long())
    torch.testing.assert_close(tokens, as_tiles[:, 0, 1:])
    local = torch.stack(encoder.features(images, [1, -1]), -1).flatten(-2)
    torch.testing.assert_close(tokens[..., 16:], local)
    assert encoder(torch.randn(2, 3, 20, 12)).shape == (2, 4, 48)  # of another size: resized


def test_every_parameter_trains() -> None:
    encoder = _encoder().train()
    tokens = encoder.forward_tiles(_tiles(1, 4), torch.ones(1, 4, dtype=torch.bool), torch.tensor([[2, 2]]))
    tokens.square().sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_no_block_can_be_dropped() -> None:
    with pytest.raises(ValueError, match="TiledEncoder reads all of its blocks"):
        _encoder().keep_layers(2)


def test_tiles_that_do_not_fit() -> None:
    encoder = _encoder(max_num_tiles=2)
    mask = torch.ones(1, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="does not know 3 x 1 tiles, only 1 x 1, 1 x 2, 2 x 1: set its option"):
        encoder.forward_tiles(_tiles(1, 3), mask, torch.tensor([[3, 1]]))
    with pytest.raises(ValueError, match="up to 2 tiles of 8 x 8 pixels, not 3 of 8 x 8"):
        encoder.forward_tiles(_tiles(1, 3), mask, torch.tensor([[2, 1]]))
    with pytest.raises(ValueError, match="up to 2 tiles of 8 x 8 pixels, not 1 of 16 x 8"):
        encoder.forward_tiles(torch.randn(1, 1, 3, 16, 8), mask[:, :1], torch.tensor([[1, 1]]))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_heads": 3}, "dim 16 and num_heads 3 do not fit"),
        ({"patch_size": 3}, "tiles of 8 pixels do not divide into 3-pixel patches"),
        ({"intermediate_layers": [4]}, "intermediate_layers has 4, but the encoder has blocks 1 to 3"),
    ],
)
def test_options_that_do_not_fit(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        TiledEncoder.Config(**{**SMALL, **changed})
