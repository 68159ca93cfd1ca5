"""What stands among image tokens, and where: tags, breaks, positions."""

import pytest
import torch
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.families.vision.layout import Layout, LayoutOptions
from mmbench.families.vision.look import Look
from mmbench.nn.connectors import Grid
from mmbench.nn.decoder import Decoder

WIDTH = 4
DECODER = Decoder.Config(8, width=WIDTH, num_heads=1, num_kv_heads=1)
THREE = Decoder.Config(8, width=12, num_heads=1, num_kv_heads=1, mrope_sections=[2, 2, 2])


def view(grid: Grid, images: list[int], tags: list[int] | None = None, width: int = WIDTH) -> Look:
    """Tokens that are numbered through: 1, 2, …"""
    numbers = torch.arange(1.0, len(images) * grid[0] * grid[1] + 1).view(len(images), -1, 1)
    return Look(numbers.expand(-1, -1, width), grid, images, tags or [0] * len(images))


def filled(layout: Layout) -> Layout:
    """Each embedding a number of its own: tags 100, 101, …, a break 200, the end 300."""
    with torch.no_grad():
        for name, first in (("tags", 100), ("row_break", 200), ("image_end", 300)):
            table = getattr(layout, name)
            if table is not None:
                table.copy_(first + torch.arange(len(table))[:, None].expand_as(table))
    return layout


def read(values: Tensor) -> list[list[int]]:
    """The numbers of ``[B, N, D]``."""
    numbers: list[list[int]] = values[..., 0].int().tolist()
    return numbers


@pytest.mark.parametrize(
    ("breaks", "tokens"),
    [
        ("none", [1, 2, 3, 4, 5, 6]),
        ("newline", [1, 2, 3, 200, 4, 5, 6, 200]),
        ("break", [1, 2, 3, 200, 4, 5, 6, 300]),
    ],
)
def test_breaks_after_rows(breaks: str, tokens: list[int]) -> None:
    layout = filled(Layout(LayoutOptions(row_breaks=breaks), DECODER, 0, (2, 3)))  # type: ignore[arg-type]
    assert read(layout([view((2, 3), [0])], 1).values) == [tokens]


def test_a_tag_before_the_tokens_of_each_tile() -> None:
    layout = filled(Layout(LayoutOptions(tile_tags=True), DECODER, 3, (1, 2)))
    row = layout([view((1, 2), [0, 0, 1], [0, 2, 2])], 2)
    assert read(row.values) == [[100, 1, 2, 102, 3, 4], [102, 5, 6, 0, 0, 0]]
    assert row.mask is not None
    assert row.mask.sum(1).tolist() == [6, 3]


def test_tags_of_views_that_come_in_another_way() -> None:
    layout = filled(Layout(LayoutOptions(tile_tags=True), DECODER, 3, (1, 2)))
    row = layout([view((1, 2), [0, 0], [0, 1]).without_tokens(WIDTH), view((1, 2), [0], [2])], 1)
    assert read(row.values) == [[100, 101, 102, 1, 2]]
    assert row.columns[0].tolist() == [[0], [1]]


def test_image_positions_are_those_of_row_and_column() -> None:
    layout = Layout(LayoutOptions(image_positions=True), DECODER, 0, (2, 3))
    rows, columns = layout.row_positions, layout.column_positions
    assert rows is not None
    assert columns is not None
    bare = view((2, 3), [0]).tokens
    added = layout([view((2, 3), [0])], 1).values - bare
    torch.testing.assert_close(added[0, 5], rows[1] + columns[2])
    torch.testing.assert_close(added[0, 1], rows[0] + columns[1])
    larger = layout([view((4, 6), [0])], 1).values - view((4, 6), [0]).tokens
    torch.testing.assert_close(larger[0, 0], rows[0] + columns[0], msg="corners stay where they are")


def test_lead_stands_before_each_image_and_padding_at_the_end() -> None:
    layout = Layout(LayoutOptions(), DECODER, 0, (1, 2))
    looks = [view((1, 2), [1]), view((1, 3), [0])]
    sight = layout.sight(layout(looks, 2), looks, torch.full((2, WIDTH), 9.0))
    assert sight.prefix is not None
    assert sight.prefix_mask is not None
    assert read(sight.prefix) == [[9, 9, 1, 2, 3], [9, 9, 1, 2, 0]]
    assert sight.prefix_mask.tolist() == [[True] * 5, [True] * 4 + [False]]
    assert sight.prefix_positions is None
    assert sight.starts(2, torch.device("cpu")).tolist() == [6, 5]


def test_three_positions_and_text_after_the_largest() -> None:
    """By hand, for an image of 2 x 3 tokens after <bos> at 0: as in the figure of arXiv 2409.12191."""
    layout = Layout(LayoutOptions(), THREE, 0, (2, 3))
    looks = [view((2, 3), [0], width=12), view((1, 1), [1], width=12)]
    sight = layout.sight(layout(looks, 2), looks)
    assert sight.prefix_positions is not None
    assert sight.text_start is not None
    assert sight.prefix_positions[0].tolist() == [[1, 1, 1], [1, 1, 2], [1, 1, 3], [1, 2, 1], [1, 2, 2], [1, 2, 3]]
    assert sight.prefix_positions[1, 0].tolist() == [1, 1, 1]
    assert sight.text_start.tolist() == [4, 2]
    led = layout.sight(layout(looks, 2), looks, torch.zeros(2, 12))
    assert led.prefix_positions is not None
    assert led.text_start is not None
    assert led.prefix_positions[0, :3].tolist() == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
    assert led.prefix_positions[0, 7].tolist() == [3, 4, 5]
    assert led.text_start.tolist() == [6, 4]


@pytest.mark.parametrize(
    ("options", "decoder", "num_tags", "grid", "message"),
    [
        (LayoutOptions(tile_tags=True), DECODER, 0, (2, 2), "'tile_tags' is True, but there are no tiles"),
        (LayoutOptions(row_breaks="break"), DECODER, 0, None, "'row_breaks' is 'break', but the connector's tokens"),
        (LayoutOptions(image_positions=True), DECODER, 0, None, "'image_positions' is True, but the connector's"),
        (LayoutOptions(), THREE, 3, (2, 2), "mrope_sections.*views: native or square"),
        (LayoutOptions(), THREE, 0, None, "mrope_sections.*keeps rows and columns"),
        (LayoutOptions(row_breaks="newline"), THREE, 0, (2, 2), "mrope_sections.*row_breaks: none"),
    ],
)
def test_what_does_not_go_together(
    options: LayoutOptions, decoder: Decoder.Config, num_tags: int, grid: Grid | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Layout(options, decoder, num_tags, grid)
