"""The encoder's part: from pictures to the patch tokens of each view."""

import copy
import math
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from mmbench.config.errors import UserError
from mmbench.families.vision.options import refuse_unused
from mmbench.families.vision.views import (
    ViewOptions,
    Views,
    check_views,
    square_views,
    thumbnail_views,
    tile_views,
    view_side,
)
from mmbench.nn.connectors import Connector, Grid
from mmbench.nn.image_encoder import ImageEncoder
from mmbench.nn.native_encoder import Packed
from mmbench.nn.tiled_encoder import TiledEncoder
from mmbench.nn.tiles import tile


@dataclass
class LookOptions(ViewOptions):
    """Options of what the encoder is shown, and of which of its layers are read."""

    layers: list[int] = field(default_factory=list)
    """Outputs of these layers of the encoder, without its last norm, are joined: 0 is what enters the first block, -1
    the last block's output. Empty: what the encoder gives."""
    with_last: bool = False
    """Whether what the encoder gives, after its last norm, stands before the outputs of ``layers``."""
    class_token: bool = False
    """Whether an encoder's class token stands before the patches of ``layers`` (IDEFICS)."""

    @property
    def num_tags(self) -> int:
        """How many tiles, the thumbnail included, an image can have; 0 where there are no tiles."""
        return self.max_tiles + 1 if self.views == "tiles" else 0

    @property
    def empty_tiles(self) -> bool:
        """Whether an image always has ``max_tiles`` tiles, of which some are empty, with an encoder that reads them
        together."""
        return False

    def side(self, image_size: int) -> int:
        """The side of a view in pixels, of images with a side of so many; 0 where views differ in theirs."""
        if self.views == "native":
            return 0
        return view_side(image_size, self.thumbnail_factor) if self.views == "tiles" else image_size


@dataclass(eq=False)
class Look:
    """The tokens of V pictures of one size, each a view of one of the batch's images."""

    tokens: Tensor
    """``[V, M, D]``, row by row; of the encoder's width, or as a connector made them."""
    grid: Grid | None
    """Rows and columns in which the tokens lie; None where a connector has made tokens that lie in none."""
    images: list[int]
    """Which image each is a view of; in order."""
    tags: list[int]
    """Which tile each is, from 0; a thumbnail is the one after the last there can be."""

    shown: Tensor | None = None
    """bool ``[V]``, False where the view is an empty tile; None: none is."""

    def through(self, connector: Connector) -> "Look":
        """The same views, as a connector makes them of the encoder's tokens."""
        assert self.grid is not None, "patches lie in a grid"
        return replace(self, tokens=connector(self.tokens, self.grid), grid=token_grid(connector, self.grid))

    def without_tokens(self, width: int) -> "Look":
        """The same views with none of their tokens, which come in another way: ``[V, 0, width]``."""
        return replace(self, tokens=self.tokens.new_zeros(len(self.images), 0, width), grid=None)


class _AnyResolution(Protocol):
    """An encoder of images of any resolution, see `mmbench.nn.native_encoder`."""

    def forward_packed(self, images: Tensor, sizes: Tensor, layer: int | None = None) -> Packed: ...


def look(encoder: ImageEncoder, images: Tensor, sizes: Tensor | None, options: LookOptions) -> list[Look]:
    """What the encoder makes of pictures: a `Look` for each grid of patches, of which there is one but for ``native``.

    Args:
        encoder: to patch tokens.
        images: uint8 ``[B, 3, S, S]``.
        sizes: int64 ``[B, 2]`` height and width of each; None: all of the square.
        options: which views, which layers.

    Raises:
        UserError: tiles would not divide into patches.
    """
    pixels = encoder.normalise(images)
    if options.views == "native":
        return _native(encoder, pixels, sizes, options)
    if options.views == "tiles" and isinstance(encoder, TiledEncoder):
        return [_together(encoder, pixels, sizes, options)]
    if options.views == "tiles":
        return [_encoded(encoder, tile_views(pixels, sizes, options, encoder.patch_size), options)]
    return [_encoded(encoder, square_views(pixels, sizes), options)]


def tokens_an_image(looks: list[Look]) -> int:
    """How many tokens the views of the first image have together."""
    return sum(one.tokens.shape[1] * one.images.count(0) for one in looks)


def mean_tokens(looks: list[Look], num_images: int) -> Tensor:
    """float32 ``[B, D]``: of each image the mean over the tokens of its views, empty tiles left out."""
    first = looks[0].tokens
    total = first.new_zeros(num_images, first.shape[-1], dtype=torch.float32)
    count = first.new_zeros(num_images, 1, dtype=torch.float32)
    for one in looks:
        place = torch.tensor(one.images, device=first.device)
        weight = one.tokens.new_ones(len(one.images), 1) if one.shown is None else one.shown[:, None]
        total.index_add_(0, place, one.tokens.float().sum(dim=1) * weight)
        count.index_add_(0, place, one.tokens.shape[1] * weight.float())
    return total / count


def look_at_thumbnails(encoder: ImageEncoder, images: Tensor, sizes: Tensor | None, options: LookOptions) -> Look:
    """What the encoder makes of each picture as one small square; arguments as `look`."""
    return _encoded(encoder, thumbnail_views(encoder.normalise(images), sizes, options, encoder.patch_size), options)


def prepared(encoder: ImageEncoder, options: LookOptions, image_size: int, has_thumbnail: bool = False) -> ImageEncoder:
    """The encoder without the blocks that nothing reads, once it is sure that it can be looked through.

    Args:
        encoder: as all systems of a comparison share it; it stays as it is.
        options: what is looked at.
        image_size: side of the square that images are given in; 0: not known.
        has_thumbnail: whether there is a thumbnail without tiles, too.

    Raises:
        UserError: a layer that does not exist, tiles that do not divide into patches, pictures of any resolution with
            an encoder of fixed ones, or options without effect.
    """
    if options.views == "tiles" and isinstance(encoder, TiledEncoder):
        _check_together(encoder, options)
        return encoder
    check_views(options, encoder.patch_size * merge_of(encoder), image_size, has_thumbnail)
    if options.views == "native":
        _check_native(encoder, options)
    if not options.layers:
        refuse_unused(options, ("with_last",), "no layers are joined to it", "layers")
        refuse_unused(options, ("class_token",), "the encoder gives its patches alone", "layers")
        return encoder
    if options.class_token and (options.views == "native" or options.with_last):
        raise UserError("option 'class_token' is true, which goes with layers of square views and tiles: leave it out")
    if options.class_token and not encoder.num_class_tokens:
        raise UserError("option 'class_token' is true, but the encoder has no class token: leave it out")
    try:
        last = max(encoder.layer_number(layer) for layer in options.layers)
        if options.with_last:
            return encoder
        kept = copy.deepcopy(encoder)  # of all the systems that share it, only this one does without
        kept.keep_layers(last)
    except ValueError as error:
        raise UserError(f"option 'layers' is {options.layers}, but {error}") from error
    return kept


def joined_dim(encoder: ImageEncoder, options: LookOptions) -> int:
    """Width of the tokens of a `Look`."""
    return encoder.dim * (len(options.layers) + options.with_last if options.layers else 1)


def token_grid(connector: Connector, grid: Grid) -> Grid | None:
    """Rows and columns of the tokens that a connector makes of a grid of patches.

    None where the tokens are no raster of the image: there are as many, however many patches there are.
    """
    rows, columns = grid
    num_tokens = connector.num_tokens(grid)
    try:
        grows = connector.num_tokens((2 * rows, 2 * columns)) == 4 * num_tokens
    except UserError:
        return None
    factor = max(1, math.isqrt(rows * columns // num_tokens))
    divides = rows % factor == columns % factor == 0 and num_tokens * factor**2 == rows * columns
    return (rows // factor, columns // factor) if grows and divides else None


def _encoded(encoder: ImageEncoder, views: Views, options: LookOptions) -> Look:
    height, width = views.pixels.shape[2:]
    grid = height // encoder.patch_size, width // encoder.patch_size
    if not options.layers:
        tokens: Tensor = encoder(views.pixels)
    elif options.with_last:
        *joined, last = encoder.features(views.pixels, [*options.layers, -1])
        tokens = torch.cat([encoder.final_norm(last), *joined], dim=-1)
    else:
        tokens = torch.cat(encoder.features(views.pixels, options.layers, options.class_token), dim=-1)
    if options.class_token:
        grid = 1, tokens.shape[1]
    return Look(tokens, grid, views.images, views.tags)


def _together(encoder: TiledEncoder, pixels: Tensor, sizes: Tensor | None, options: LookOptions) -> Look:
    """All tiles of an image, as an encoder reads them that lets them attend to one another.

    A tile's class token is kept, before its patches: the tokens are given as one line. So are those of empty tiles,
    if they are asked for.
    """
    cut = tile(pixels, sizes, encoder.config.tile_size, options.max_tiles)
    tiles, mask = cut.tiles, cut.mask
    if options.empty_tiles:
        num_empty = options.max_tiles - mask.shape[1]
        tiles, mask = F.pad(tiles, (0, 0) * 3 + (0, num_empty)), F.pad(mask, (0, num_empty))
    kept = torch.ones_like(mask) if options.empty_tiles else mask
    tokens = encoder.forward_tiles(tiles, mask, cut.grids)[kept]
    places = kept.nonzero().tolist()
    shown = mask.flatten() if options.empty_tiles else None
    return Look(tokens, (1, tokens.shape[1]), [image for image, _ in places], [tag for _, tag in places], shown)


def _check_together(encoder: TiledEncoder, options: LookOptions) -> None:
    why = "the encoder reads all tiles of an image together, of its own tile_size"
    refuse_unused(options, ("thumbnail_factor", "tile_overlap", "layers", "with_last"), why, "another encoder")
    if options.thumbnail != "none":
        raise UserError(f"option 'thumbnail' is '{options.thumbnail}', but {why}: give thumbnail: none")
    if options.max_tiles > encoder.config.max_num_tiles:
        raise UserError(
            f"option 'max_tiles' is {options.max_tiles}, but the encoder reads up to {encoder.config.max_num_tiles} "
            "tiles: give as many or fewer, or change its option max_num_tiles"
        )


def merge_of(encoder: ImageEncoder) -> int:
    """The side of the neighbourhoods of patches that the encoder puts together."""
    return int(getattr(getattr(encoder, "config", None), "merge", 1))


def _check_native(encoder: ImageEncoder, options: LookOptions) -> None:
    if not hasattr(encoder, "forward_packed"):
        raise UserError(
            "option 'views' is 'native', but the encoder is made for images of one size: give the system an encoder of "
            "its own, `encoder: {library: native, name: pixtral}`, or views: square"
        )
    if len(options.layers) > 1 or options.with_last:
        raise UserError(
            f"option 'layers' is {options.layers}, but of native views one layer is read: give one, or views: square"
        )


def _native(encoder: ImageEncoder, pixels: Tensor, sizes: Tensor | None, options: LookOptions) -> list[Look]:
    """Pictures with one grid come out together, whatever else is in the batch."""
    if sizes is None:
        sizes = torch.tensor([pixels.shape[2:]], device=pixels.device).expand(len(pixels), 2)
    layer = options.layers[0] if options.layers else None
    packed = cast(_AnyResolution, encoder).forward_packed(pixels, sizes, layer)
    by_grid: dict[Grid, list[int]] = {}
    for image, (rows, columns) in enumerate(packed.grids.tolist()):
        by_grid.setdefault((rows, columns), []).append(image)
    each = torch.split(packed.tokens, packed.grids.prod(dim=1).tolist())
    looks = []
    for grid, images in by_grid.items():
        tokens = _row_by_row(torch.stack([each[image] for image in images]), grid, merge_of(encoder))
        looks.append(Look(tokens, grid, images, [0] * len(images)))
    return looks


def _row_by_row(tokens: Tensor, grid: Grid, merge: int) -> Tensor:
    """``[V, N, D]`` of an encoder that puts the patches of each ``merge x merge`` neighbourhood together."""
    if merge == 1:
        return tokens
    together = tokens.view(len(tokens), grid[0] // merge, grid[1] // merge, merge, merge, -1)
    return together.transpose(2, 3).flatten(1, 4)
