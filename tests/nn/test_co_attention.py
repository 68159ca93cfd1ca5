"""Which stream hears of the other, and what padding may not change."""

import pytest
import torch
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.nn.co_attention import CoAttentionBlock, Directions


def _block(**options: object) -> CoAttentionBlock:
    torch.manual_seed(0)
    return CoAttentionBlock(CoAttentionBlock.Config(16, 2, 24, **options)).eval()  # type: ignore[arg-type]


def _streams() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, 4, 16), torch.randn(2, 6, 16)


@pytest.mark.parametrize("directions", ["both", "text", "image"])
def test_who_hears_of_whom(directions: Directions) -> None:
    block = _block(directions=directions)
    text, image = _streams()
    before = block(text, image)
    assert torch.equal(block(text, image + 1)[0], before[0]) == (directions == "image")
    assert torch.equal(block(text + 1, image)[1], before[1]) == (directions == "text")


def test_shared_directions_have_fewer_parameters() -> None:
    def count(block: CoAttentionBlock) -> int:
        return sum(parameter.numel() for parameter in block.parameters())

    one_attention = 4 * (16 * 16 + 16) + 2 * 16
    assert count(_block()) - count(_block(shared_directions=True)) == one_attention
    assert count(_block()) - count(_block(directions="text")) == one_attention


def test_padding_changes_nothing() -> None:
    block = _block()
    text, image = _streams()
    alone = block(text[:, :3], image[:, :5])
    text_mask, image_mask = torch.arange(4).expand(2, -1) < 3, torch.arange(6).expand(2, -1) < 5
    padded = block(text, image, text_mask, image_mask)
    torch.testing.assert_close(padded[0][:, :3], alone[0])
    torch.testing.assert_close(padded[1][:, :5], alone[1])


def test_a_withheld_image_says_nothing() -> None:
    block = _block()
    text, image = _streams()
    withheld = torch.zeros(2, 6, dtype=torch.bool)
    assert torch.equal(block(text, image, None, withheld)[0], block(text, image * 3, None, withheld)[0])
    partly = torch.tensor([[True] * 6, [False] * 6])
    assert torch.equal(block(text, image, None, partly)[0][1], block(text, image, None, withheld)[0][1])


def test_sizes_that_do_not_fit_are_refused() -> None:
    for options, message in (
        ({"width": 16, "num_heads": 3, "feed_forward_width": 8}, "multiple of num_heads"),
        ({"width": 16, "num_heads": 2, "feed_forward_width": 0}, "at least 1"),
        ({"width": 16, "num_heads": 2, "feed_forward_width": 8, "directions": "none"}, "directions"),
        (
            {"width": 16, "num_heads": 2, "feed_forward_width": 8, "directions": "text", "shared_directions": True},
            "one direction shares nothing",
        ),
    ):
        with pytest.raises(UserError, match=message):
            CoAttentionBlock.Config(**options)
