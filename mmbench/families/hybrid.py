"""Hybrid: a thumbnail's tokens in the self-attention, full-resolution tokens through gated cross-attention.

NVLM-H, arXiv 2409.11402.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.families.family import SharedParts
from mmbench.families.sight import Sight
from mmbench.families.vision.connecting import ConnectorOptions, connector_for, size_step
from mmbench.families.vision.gated import GatedOptions, gated_layers, keys_values, reach_of
from mmbench.families.vision.layout import Layout, LayoutOptions
from mmbench.families.vision.look import (
    Look,
    LookOptions,
    joined_dim,
    look,
    look_at_thumbnails,
    prepared,
    tokens_an_image,
)
from mmbench.families.vision.rows import in_rows
from mmbench.families.vision.viewing_decoder import GatedDecoder
from mmbench.families.vision.views import check_side, view_side
from mmbench.nn.image_encoder import ImageEncoder
from mmbench.nn.tiled_encoder import TiledEncoder


class Hybrid(GatedDecoder):
    """thumbnail -> connector -> decoder context, as in unified; image or tiles -> gated layers, as in crossattn."""

    matched_width: ClassVar[str] = "feed_forward_width"

    @dataclass
    class Config(GatedOptions, LayoutOptions, ConnectorOptions, LookOptions):
        """Settings of a hybrid system; the connector and the layout are the thumbnail's."""

    config: Config

    def __init__(self, config: Config, shared: SharedParts, objective_weights: Mapping[str, float]) -> None:
        super().__init__(shared, objective_weights)
        _check(config, shared.encoder, shared.image_size)
        self.encoder = prepared(shared.encoder, config, shared.image_size, has_thumbnail=True)
        # The thumbnail comes in another way than what is looked at in detail.
        self.detail = replace(config, thumbnail="none") if config.views == "tiles" else config
        self.config = config
        decoder = shared.decoder.config
        side = view_side(shared.image_size, config.thumbnail_factor)
        self.connector, grid = connector_for(config, config, self.encoder, decoder.width, side)
        self.layout = Layout(config, decoder, config.num_tags, grid)
        self.cross_attention = gated_layers(config, decoder, joined_dim(self.encoder, config))

    @property
    def size_step(self) -> int:
        """Image and thumbnail both divide into patches, and the thumbnail into what the connector joins."""
        return size_step(replace(self.config, views="tiles"), self.encoder, self.connector)

    def see(self, images: Tensor, sizes: Tensor | None = None) -> Sight:
        """The encoder looks twice: at the thumbnail, and at the image as it is or tile by tile.

        Raises:
            UserError: the thumbnail would not divide into the encoder's patches.
        """
        detail = self.looks(images, sizes)[0]
        thumbnail = look_at_thumbnails(self.encoder, images, sizes, self.config).through(self.connector)
        tags = [detail.without_tokens(self.decoder.config.width)] if self.config.tile_tags else []
        shown = [thumbnail, *tags] if self.config.thumbnail == "first" else [*tags, thumbnail]
        row = self.layout(shown, len(images))
        context = in_rows([detail.tokens], [detail.images], len(images))
        sight = self.layout.sight(row, shown)
        sight.contexts, sight.context_mask = keys_values(self.cross_attention, context.values), context.mask
        for tag in tags:
            places = row.columns[shown.index(tag)]
            sight.prefix_reach = reach_of(places, context, detail.images, row.values.shape[1])
        return sight

    def looks(self, images: Tensor, sizes: Tensor | None = None) -> list[Look]:
        """What the encoder makes of the image in detail, without the thumbnail."""
        return look(self.encoder, images, sizes, self.detail)

    def num_image_tokens(self, images: Tensor, sizes: Tensor | None = None) -> int:
        """Of the thumbnail and of what is looked at in detail."""
        thumbnail = look_at_thumbnails(self.encoder, images, sizes, self.config)
        return tokens_an_image([thumbnail, *self.looks(images, sizes)])

    def parts(self) -> dict[str, nn.Module]:
        """The common parts, and the connector with all that stands among its tokens."""
        return super().parts() | {"connector": nn.ModuleList([self.connector, self.layout])}


def _check(config: Hybrid.Config, encoder: ImageEncoder, image_size: int) -> None:
    if isinstance(encoder, TiledEncoder):
        raise UserError(
            "a hybrid system's encoder reads a thumbnail by itself, but this one reads all tiles of an image together: "
            "give family: crossattn, or another encoder"
        )
    if config.views == "native":
        raise UserError("option 'views' is 'native', but a hybrid system has a thumbnail: give views: square or tiles")
    if config.views == "tiles" and config.thumbnail == "none":
        raise UserError(
            "option 'thumbnail' is 'none', but in a hybrid system the thumbnail is what the self-attention reads: give "
            "thumbnail: first or last, or family: crossattn"
        )
    if config.views == "square" and config.thumbnail_factor <= 1:
        raise UserError(
            f"option 'thumbnail_factor' is {config.thumbnail_factor:g}; a thumbnail is smaller: give more than 1"
        )
    if image_size:
        check_side(image_size, config.thumbnail_factor, encoder.patch_size)
