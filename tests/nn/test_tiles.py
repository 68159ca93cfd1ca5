"""Tiles against pictures cut by hand, and against torch's own antialiased resizing."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mmbench.nn.tiles import best_grids, squashed, tile


def canvas_of(pictures: list[Tensor], side: int) -> tuple[Tensor, Tensor]:
    """Pictures [3, h, w] in canvases whose rest holds what must not be seen."""
    canvas = torch.full((len(pictures), 3, side, side), 255, dtype=pictures[0].dtype)
    for row, picture in enumerate(pictures):
        canvas[row, :, : picture.shape[1], : picture.shape[2]] = picture
    return canvas, torch.tensor([picture.shape[1:] for picture in pictures])


def test_pictures_of_different_shapes_are_cut_row_by_row() -> None:
    wide = torch.arange(8).repeat(3, 4, 1)  # 4 x 8: two tiles, side by side
    square = torch.arange(8)[:, None].expand(3, 8, 8)  # 8 x 8: four tiles
    small = torch.full((3, 4, 4), 7)  # one tile
    images, sizes = canvas_of([wide, square, small], 8)
    tiles = tile(images.to(torch.uint8), sizes, tile_size=4, max_tiles=4)
    assert tiles.grids.tolist() == [[1, 2], [2, 2], [1, 1]]
    assert tiles.mask.tolist() == [[True, True, False, False], [True] * 4, [True, False, False, False]]
    assert tiles.tiles.shape == (3, 4, 3, 4, 4) and tiles.tiles.dtype == torch.uint8
    assert torch.equal(tiles.tiles[0, 0], wide[:, :, :4].byte()) and torch.equal(
        tiles.tiles[0, 1], wide[:, :, 4:].byte()
    )
    assert torch.equal(
        tiles.tiles[1], torch.stack([square[:, :4, :4], square[:, :4, 4:], square[:, 4:, :4], square[:, 4:, 4:]]).byte()
    )
    assert torch.equal(tiles.tiles[2, 0], small.byte()) and not tiles.tiles[~tiles.mask].any()
    assert torch.equal(tiles.thumbnails[2], small.byte())


@pytest.mark.parametrize("shape", [(20, 52), (16, 16), (31, 9)])
def test_resizing_is_that_of_torch(shape: tuple[int, int]) -> None:
    picture = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    images, sizes = canvas_of([picture], 64)
    tiles = tile(images, sizes, tile_size=12, max_tiles=6)
    rows, columns = tiles.grids[0].tolist()
    whole = interpolate(picture[None], (12 * rows, 12 * columns), mode="bilinear", antialias=True)[0]
    for number in range(rows * columns):
        row, column = divmod(number, columns)
        wanted = whole[:, 12 * row : 12 * row + 12, 12 * column : 12 * column + 12]
        torch.testing.assert_close(tiles.tiles[0, number], wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        tiles.thumbnails[0], interpolate(picture[None], (12, 12), mode="bilinear", antialias=True)[0], atol=1e-5, rtol=0
    )


def test_overlapping_tiles_share_the_pixels_between_them() -> None:
    images = torch.rand(1, 3, 10, 22, generator=torch.Generator().manual_seed(0))
    tiles = tile(images, None, tile_size=10, max_tiles=3, overlap=4)
    assert tiles.grids.tolist() == [[1, 3]], "3 * (10 - 4) + 4 = 22 pixels"
    for number in range(3):
        torch.testing.assert_close(tiles.tiles[0, number], images[0, :, :, 6 * number : 6 * number + 10])


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((48, 48), (2, 2)),
        ((22, 22), (1, 1)),
        ((23, 23), (2, 2)),
        ((40, 120), (1, 3)),
        ((96, 32), (3, 1)),
        ((2, 900), (1, 6)),
        ((60, 90), (2, 3)),
    ],
)
def test_the_grid_has_the_shape_of_the_picture(size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert tuple(best_grids(torch.tensor([size]), tile_size=16, max_tiles=6)[0].tolist()) == grid


def test_a_batch_is_cut_as_each_picture_alone() -> None:
    generator = torch.Generator().manual_seed(1)
    pictures = [torch.rand(3, *shape, generator=generator) for shape in ((32, 32), (8, 32), (20, 12))]
    images, sizes = canvas_of(pictures, 32)
    together = tile(images, sizes, 8, 5)
    for row in range(3):
        alone = tile(images[row : row + 1], sizes[row : row + 1], 8, 5)
        num_tiles = alone.tiles.shape[1]
        torch.testing.assert_close(together.tiles[row, :num_tiles], alone.tiles[0])
        torch.testing.assert_close(together.thumbnails[row], alone.thumbnails[0])
        assert not together.mask[row, num_tiles:].any()
    assert tile(images[:0], sizes[:0], 8, 5).tiles.shape == (0, 0, 3, 8, 8)


def test_a_picture_of_that_size_is_not_changed_by_squashing() -> None:
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    assert torch.equal(squashed(images, None, 16), images)
    assert torch.equal(squashed(images, torch.tensor([[8, 8], [16, 16]]), 8)[0], images[0, :, :8, :8])


@pytest.mark.parametrize(("max_tiles", "overlap", "told"), [(0, 0, "max_tiles is 0"), (4, 8, "overlap by 8 px")])
def test_what_cannot_be_cut_is_refused(max_tiles: int, overlap: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        tile(torch.zeros(1, 3, 8, 8), None, 8, max_tiles, overlap)
