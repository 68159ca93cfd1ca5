"""What of a picture the encoder is shown: a square, tiles with a thumbnail, or the picture at its own size."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from mmbench.config.errors import UserError
from mmbench.families.vision.options import refuse_unused
from mmbench.nn.tiles import squashed, tile


@dataclass
class ViewOptions:
    """Options of what the encoder is shown."""

    views: Literal["square", "tiles", "native"] = "square"
    """``square``: the picture, stretched to a square; ``tiles``: squares cut from it, whose grid has nearly its aspect
    ratio, and a thumbnail; ``native``: the picture at its own size and aspect ratio."""
    thumbnail_factor: float = 2
    """The side of a tile and of a thumbnail is that of the square that holds the image, divided by this; 1.75 makes
    squares of 128 pixels of one of 224."""
    max_tiles: int = 6
    """Tiles of a picture, at most."""
    tile_overlap: int = 0
    """How many patches neighbouring tiles share (Molmo, arXiv 2409.17146)."""
    thumbnail: Literal["first", "last", "none"] = "last"
    """Where the thumbnail stands among the tiles."""


@dataclass
class Views:
    """V pictures of one size, each a view of one of the batch's images."""

    pixels: Tensor
    """``[V, 3, H, W]``, normalised."""
    images: list[int]
    """Which image each is a view of; in order."""
    tags: list[int]
    """Which tile each is, from 0; a thumbnail is the one after the last there can be."""


def check_views(options: ViewOptions, patch_size: int, image_size: int, has_thumbnail: bool = False) -> None:
    """Refuse what cannot be cut.

    Args:
        options: of the views.
        patch_size: of what the encoder needs a whole number in a picture's side: a patch, or several.
        image_size: side of the square that holds an image; 0: not known.
        has_thumbnail: whether there is a thumbnail without tiles, too.

    Raises:
        UserError: options of tiles without tiles, or sides that do not divide into patches.
    """
    if options.views != "tiles":
        of_tiles = ("max_tiles", "tile_overlap", "thumbnail", *([] if has_thumbnail else ["thumbnail_factor"]))
        refuse_unused(options, of_tiles, "there are no tiles", "views: tiles")
        if image_size % patch_size:
            raise UserError(
                f"images of {image_size} pixels do not divide into squares of {patch_size}, which the system reads: "
                f"make image_size a multiple of {patch_size}, or change the patch_size"
            )
    if options.thumbnail_factor < 1 or options.max_tiles < 1 or options.tile_overlap < 0:
        raise UserError(
            f"options thumbnail_factor {options.thumbnail_factor:g}, max_tiles {options.max_tiles} and tile_overlap "
            f"{options.tile_overlap}: the first two must be at least 1, the third at least 0"
        )
    if image_size and options.views == "tiles":
        check_side(image_size, options.thumbnail_factor, patch_size)
        across = view_side(image_size, options.thumbnail_factor) // patch_size
        if options.tile_overlap >= across:
            raise UserError(
                f"option 'tile_overlap' is {options.tile_overlap} patches, but a tile is only {across} patches wide: "
                "give fewer, or a smaller thumbnail_factor"
            )


def check_side(side: int, factor: float, patch_size: int) -> None:
    """Refuse a thumbnail whose side is no number of patches.

    Raises:
        UserError: with the sides that fit.
    """
    across = view_side(side, factor)
    if across % patch_size or abs(across * factor - side) >= 0.5:
        near = max(1, across // patch_size) * patch_size
        raise UserError(
            f"option 'thumbnail_factor' is {factor:g}, but tiles and thumbnail of an image of {side} pixels would then "
            f"not divide into patches of {patch_size}: make image_size a multiple of {factor * patch_size:g}, or give "
            f"thumbnail_factor: {side / near:g}, which makes them {near} pixels wide"
        )


def view_side(side: int, factor: float) -> int:
    """The side of a tile and of a thumbnail in pixels."""
    return round(side / factor)


def square_views(pixels: Tensor, sizes: Tensor | None) -> Views:
    """Each picture stretched to the whole of its canvas."""
    images = list(range(len(pixels)))
    return Views(_stretched(pixels, sizes), images, [0] * len(images))


def thumbnail_views(pixels: Tensor, sizes: Tensor | None, options: ViewOptions, patch_size: int) -> Views:
    """Each picture as one small square.

    Raises:
        UserError: the thumbnail does not divide into patches.
    """
    check_side(pixels.shape[-1], options.thumbnail_factor, patch_size)
    views = square_views(pixels, sizes)
    side = view_side(pixels.shape[-1], options.thumbnail_factor)
    small = F.interpolate(views.pixels, size=(side, side), mode="area")
    return Views(small, views.images, [options.max_tiles] * len(views.images))


def tile_views(pixels: Tensor, sizes: Tensor | None, options: ViewOptions, patch_size: int) -> Views:
    """The tiles of each picture, and its thumbnail where it has one.

    Raises:
        UserError: a tile does not divide into patches.
    """
    side = pixels.shape[-1]
    check_side(side, options.thumbnail_factor, patch_size)
    cut = tile(
        pixels, sizes, view_side(side, options.thumbnail_factor), options.max_tiles, options.tile_overlap * patch_size
    )
    num_tiles = cut.mask.sum(dim=1).tolist()
    shown = cut.tiles[cut.mask]
    keys = [(image, tag) for image, num in enumerate(num_tiles) for tag in range(num)]
    if options.thumbnail != "none":
        shown = torch.cat([shown, cut.thumbnails])
        keys += [(image, options.max_tiles) for image in range(len(pixels))]

    def place(number: int) -> tuple[int, int]:
        image, tag = keys[number]
        return image, -1 if tag == options.max_tiles and options.thumbnail == "first" else tag

    order = sorted(range(len(keys)), key=place)
    return Views(shown[order], [keys[number][0] for number in order], [keys[number][1] for number in order])


def _stretched(pixels: Tensor, sizes: Tensor | None) -> Tensor:
    side = pixels.shape[-1]
    return pixels if sizes is None or bool((sizes == side).all()) else squashed(pixels, sizes, side)
