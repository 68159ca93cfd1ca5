"""The encoder for any resolution, in each of its published forms."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.nn.attention import attention_kernel, set_attention_kernel
from mmbench.nn.native_encoder import NativeEncoder, position_buckets
from mmbench.nn.native_models import NATIVE
from tests.nn.layouts.towers import scrambled

SIZES = torch.tensor([[32, 16], [8, 24], [24, 32]])


@pytest.fixture(autouse=True)
def _restored_kernel() -> Iterator[None]:
    before = attention_kernel()
    yield
    set_attention_kernel(before)


def _encoder(name: str, **changed: Any) -> NativeEncoder:
    small = {"dim": 16, "depth": 2, "num_heads": 2, "patch_size": 4, "feed_forward_width": 24}
    encoder: NativeEncoder = scrambled(NativeEncoder(NativeEncoder.Config(**{**NATIVE[name], **small, **changed})))
    return encoder


def _images(num: int = 3, side: int = 32) -> torch.Tensor:
    return torch.randn(num, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kernel", ["sdpa", "plain"])
@pytest.mark.parametrize("name", NATIVE)
@torch.no_grad()
def test_packed_equals_one_by_one(name: str, kernel: Any) -> None:
    set_attention_kernel(kernel)
    encoder = _encoder(name)
    images = _images()
    packed = encoder.forward_packed(images, SIZES)
    assert packed.grids.tolist() == [[8, 4], [2, 6], [6, 8]]
    pieces = packed.tokens.split([32, 12, 48])
    for image, size, tokens in zip(images, SIZES, pieces, strict=True):
        alone = encoder.forward_packed(image[None], size[None]).tokens
        torch.testing.assert_close(tokens, alone, atol=1e-5, rtol=1e-5)
        cut = image[None, :, : size[0], : size[1]]  # what lies beside the picture has no effect
        torch.testing.assert_close(tokens, encoder.forward_packed(cut, size[None]).tokens, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_neighbourhoods_stand_together() -> None:
    encoder = _encoder("qwen2-vl")
    images = _images(1, 16)
    row_by_row = encoder(images)[0].view(4, 4, -1)
    packed = encoder.forward_packed(images, torch.tensor([[16, 16]])).tokens
    order = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3)]
    expected = torch.stack([row_by_row[place] for place in order])
    torch.testing.assert_close(packed[:8], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_side_that_ends_within_a_neighbourhood_counts_to_its_end() -> None:
    assert _encoder("pixtral").forward_packed(_images(1), torch.tensor([[9, 4]])).grids.tolist() == [[3, 1]]
    assert _encoder("qwen2-vl").forward_packed(_images(1), torch.tensor([[9, 4]])).grids.tolist() == [[4, 2]]


@pytest.mark.parametrize("name", NATIVE)
def test_every_parameter_trains(name: str) -> None:
    encoder = _encoder(name).train()
    encoder.forward_packed(_images(), SIZES).tokens.square().sum().backward()
    assert [key for key, p in encoder.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_gradients_are_the_same_in_both_kernels_and_one_by_one() -> None:
    encoder = _encoder("pixtral").double()
    images, gradients = _images().double(), []
    for kernel in ("sdpa", "plain"):
        set_attention_kernel(kernel)  # type: ignore[arg-type]
        encoder.zero_grad()
        encoder.forward_packed(images, SIZES).tokens.square().sum().backward()
        gradients.append(encoder.patches.weight.grad)
    encoder.zero_grad()
    for image, size in zip(images, SIZES, strict=True):
        encoder.forward_packed(image[None], size[None]).tokens.square().sum().backward()
    gradients.append(encoder.patches.weight.grad)
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0])


@pytest.mark.parametrize("name", NATIVE)
@torch.no_grad()
def test_under_autocast_blocks_add_up_in_full(name: str) -> None:
    encoder = _encoder(name)
    expected = encoder.forward_packed(_images(), SIZES).tokens
    with torch.autocast("cpu", torch.bfloat16):
        tokens = encoder.forward_packed(_images(), SIZES, layer=-1).tokens
    assert tokens.dtype == torch.float32
    similarity = torch.cosine_similarity(encoder.final_norm(tokens), expected, dim=-1)
    assert similarity.min() > 0.99


@torch.no_grad()
def test_images_may_have_any_shape() -> None:
    encoder = _encoder("pixtral")
    assert encoder(torch.randn(2, 3, 12, 20)).shape == (2, 15, 16)
    with pytest.raises(ValueError, match="20 x 12 pixels do not divide into squares of 8: 2 x 2 patches of 4"):
        _encoder("qwen2-vl").forward_packed(torch.randn(1, 3, 20, 12), torch.tensor([[20, 12]]))


def test_dropped_layers_leave_no_parameter_without_gradient() -> None:
    encoder = _encoder("aria")
    images = _images()
    expected = encoder.forward_packed(images, SIZES, layer=-2).tokens.detach()
    encoder.keep_layers(1)
    tokens = encoder.forward_packed(images, SIZES, layer=-2).tokens
    torch.testing.assert_close(tokens, expected)
    tokens.square().sum().backward()
    assert [key for key, p in encoder.named_parameters() if p.grad is None] == []
    with pytest.raises(ValueError, match="only its first 1 blocks were kept"):
        encoder.forward_packed(images, SIZES, layer=-1)


def test_an_image_of_two_frames_has_the_sum_of_their_kernels() -> None:
    encoder = _encoder("qwen2-vl")
    images = _images()
    as_video = images[:, :, None].expand(-1, -1, 2, -1, -1)
    kernel = encoder.patches.weight.view(16, 3, 2, 4, 4)
    expected = torch.nn.functional.conv3d(as_video, kernel, stride=(2, 4, 4))[:, :, 0].flatten(2).mT
    torch.testing.assert_close(encoder.features(images, [0])[0], expected, atol=1e-5, rtol=1e-5)


def test_shares_of_the_picture() -> None:
    rows = torch.arange(4)
    assert position_buckets(rows, torch.tensor(4), 4).tolist() == [0, 1, 2, 3]
    assert position_buckets(rows, torch.tensor(4), 8).tolist() == [0, 2, 4, 6]
    assert position_buckets(rows, torch.tensor(4), 2).tolist() == [0, 0, 1, 1]


def test_widths_that_do_not_fit() -> None:
    with pytest.raises(UserError, match="dim 24 and num_heads 4 do not fit: dim has to be a multiple of 4 x num_heads"):
        NativeEncoder.Config(dim=24, num_heads=4)
