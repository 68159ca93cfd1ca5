"""What the encoder is shown: which views of which image, in which order, and that nothing beyond a picture shows."""

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.families.vision.look import LookOptions
from mmbench.families.vision.views import check_views, square_views, thumbnail_views, tile_views
from tests.families.vision.pictures import SIDE, SIZES, pictures

PIXELS = pictures().float()


def test_a_picture_that_fills_its_canvas_is_the_square() -> None:
    assert square_views(PIXELS, None).pixels is PIXELS
    assert torch.equal(square_views(PIXELS[:1], SIZES[:1]).pixels, PIXELS[:1])


def test_squares_show_nothing_beyond_the_picture() -> None:
    other = PIXELS.clone()
    other[1, :, 24:] = 99
    other[2, :, :, 12:] = 99
    before, after = square_views(PIXELS, SIZES).pixels, square_views(other, SIZES).pixels
    assert torch.equal(before, after)
    assert before.shape == (4, 3, SIDE, SIDE)
    assert float(before[2, :, :, -1].min()) > 0, "the narrow picture is stretched to the right edge"


@pytest.mark.parametrize(
    ("place", "tags"),
    [
        # A square has 2 x 2 tiles of half the canvas, the wide and the small one as many as they need.
        ("last", [[0, 1, 2, 3, 6], [0, 1, 6], [0, 1, 2, 3, 6], [0, 6]]),
        ("first", [[6, 0, 1, 2, 3], [6, 0, 1], [6, 0, 1, 2, 3], [6, 0]]),
        ("none", [[0, 1, 2, 3], [0, 1], [0, 1, 2, 3], [0]]),
    ],
)
def test_tiles_and_thumbnail_in_order(place: str, tags: list[list[int]]) -> None:
    views = tile_views(PIXELS, SIZES, LookOptions(views="tiles", thumbnail=place), 12)  # type: ignore[arg-type]
    assert views.images == [image for image, own in enumerate(tags) for _ in own]
    assert views.tags == [tag for own in tags for tag in own]
    assert views.pixels.shape == (sum(map(len, tags)), 3, 24, 24)


def test_tiles_are_the_quarters_of_a_square_and_the_thumbnail_all_of_it() -> None:
    views = tile_views(PIXELS[:1], None, LookOptions(views="tiles"), 12)
    for tile, (top, left) in zip(views.pixels[:4], [(0, 0), (0, 24), (24, 0), (24, 24)], strict=True):
        torch.testing.assert_close(tile, PIXELS[0, :, top : top + 24, left : left + 24])
    assert float((views.pixels[4].mean() - PIXELS[0].mean()).abs()) < 2


def test_views_of_a_picture_do_not_depend_on_the_batch() -> None:
    options = LookOptions(views="tiles")
    together = tile_views(PIXELS, SIZES, options, 12)
    for image in range(4):
        alone = tile_views(PIXELS[image : image + 1], SIZES[image : image + 1], options, 12)
        own = [place for place, owner in enumerate(together.images) if owner == image]
        torch.testing.assert_close(alone.pixels, together.pixels[own])
        assert alone.tags == [together.tags[place] for place in own]


def test_overlapping_tiles_share_patches() -> None:
    views = tile_views(PIXELS[:1], None, LookOptions(views="tiles", max_tiles=9, tile_overlap=1, thumbnail="none"), 12)
    assert views.tags == list(range(9)), "three tiles of 24 pixels that share 12 fill 48"
    torch.testing.assert_close(views.pixels[0, :, :, 12:], views.pixels[1, :, :, :12])


def test_thumbnails_are_means() -> None:
    small = thumbnail_views(PIXELS[:1], None, LookOptions(thumbnail_factor=4), 12).pixels
    assert small.shape == (1, 3, 12, 12)
    torch.testing.assert_close(small[0, :, 0, 0], PIXELS[0, :, :4, :4].mean((1, 2)))


def test_a_tile_may_be_more_than_half_a_picture() -> None:
    options = LookOptions(views="tiles", thumbnail_factor=4 / 3)
    check_views(options, 12, 48)
    assert thumbnail_views(PIXELS[:1], None, options, 12).pixels.shape == (1, 3, 36, 36)
    assert tile_views(PIXELS[:1], None, options, 12).pixels.shape[1:] == (3, 36, 36)
    assert options.side(48) == 36


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (LookOptions(views="tiles", thumbnail_factor=1.5), "give thumbnail_factor: 2, which makes them 24 pixels"),
        (LookOptions(max_tiles=4), "'max_tiles' is 4, but there are no tiles.*views: tiles"),
        (LookOptions(thumbnail="first"), "'thumbnail' is 'first', but there are no tiles"),
        (LookOptions(thumbnail_factor=3), "'thumbnail_factor' is 3, but there are no tiles"),
        (LookOptions(views="tiles", thumbnail_factor=3), "images? of 48 pixels.*multiple of 36"),
        (LookOptions(views="tiles", tile_overlap=2), "'tile_overlap' is 2 patches, but a tile is only 2 patches wide"),
        (LookOptions(views="tiles", max_tiles=0), "max_tiles 0"),
    ],
)
def test_what_cannot_be_cut(options: LookOptions, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_views(options, 12, 48)


def test_squares_divide_into_patches() -> None:
    check_views(LookOptions(), 12, 48)
    check_views(LookOptions(thumbnail_factor=3), 12, 48, has_thumbnail=True)
    with pytest.raises(UserError, match="images of 48 pixels do not divide into squares of 10"):
        check_views(LookOptions(), 10, 48)
