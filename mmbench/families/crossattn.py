"""Cross-attention: the decoder reads text alone; gated layers between its blocks look at the image.

Flamingo, arXiv 2204.14198.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.families.family import SharedParts
from mmbench.families.sight import Sight
from mmbench.families.vision.connecting import ConnectorOptions, connector_for
from mmbench.families.vision.gated import GatedOptions, gated_layers, keys_values, reach_of
from mmbench.families.vision.layout import Layout, LayoutOptions
from mmbench.families.vision.look import Look, LookOptions, joined_dim, prepared
from mmbench.families.vision.options import check_token_ids, refuse_unused
from mmbench.families.vision.rows import Row, in_rows
from mmbench.families.vision.viewing_decoder import GatedDecoder
from mmbench.nn.decoder import Decoder


class CrossAttn(GatedDecoder):
    """views -> encoder (-> connector) -> keys and values, once an image; text queries them before every k-th block."""

    matched_width: ClassVar[str] = "feed_forward_width"

    @dataclass
    class Config(GatedOptions, ConnectorOptions, LookOptions):
        """Settings of a cross-attention system."""

        connector: str = "none"
        """What stands between encoder and gated layers: a kind of connector, its import path, or ``none``."""
        context_width: int | None = None
        """Width of the tokens that a connector makes; the language model's if not given."""
        tile_tags: bool = False
        """Whether a learned embedding for each tile stands in the text and looks at that tile alone (NVLM-X)."""
        lead: list[int] = field(default_factory=list)
        """Ids of tokens that stand for the image in the text, as a published model's prompt has them."""
        lead_sees: int = 1
        """How many of them, the last ones, look at the image."""

        @property
        def empty_tiles(self) -> bool:
            """Where what reaches nothing attends to all that there is, empty tiles are a part of it."""
            return self.gated == "mllama" and not self.tile_tags

    config: Config

    def __init__(self, config: Config, shared: SharedParts, objective_weights: Mapping[str, float]) -> None:
        super().__init__(shared, objective_weights)
        self.config = config
        self.encoder = prepared(shared.encoder, config, shared.image_size)
        decoder = shared.decoder.config
        width = decoder.width if config.context_width is None else config.context_width
        if width < 1:
            raise UserError(f"option 'context_width' is {width}; it must be at least 1")
        if config.connector == "none":
            refuse_unused(config, ("context_width",), "there is no connector", "a connector")
            width = joined_dim(self.encoder, config)
        side = config.side(shared.image_size)
        self.connector, _ = connector_for(config, config, self.encoder, width, side)
        _check_lead(config, decoder)
        tags = LayoutOptions(tile_tags=config.tile_tags)
        self.layout = Layout(tags, decoder, config.num_tags, None)
        self.cross_attention = gated_layers(config, decoder, self.connector.out_dim)

    def see(self, images: Tensor, sizes: Tensor | None = None) -> Sight:
        """Each gated layer gets its keys and values; nothing but the tags of tiles enters the context."""
        looks = [one.through(self.connector) for one in self.looks(images, sizes)]
        context = in_rows([one.tokens for one in looks], [one.images for one in looks], len(images))
        sight = Sight(contexts=keys_values(self.cross_attention, context.values), context_mask=_shown(looks, context))
        if self.config.tile_tags:
            tags = self.layout([one.without_tokens(self.decoder.config.width) for one in looks], len(images))
            sight.prefix, sight.prefix_mask = tags.values, tags.mask
            sight.prefix_reach = reach_of(tags.columns[0], context, looks[0].images, tags.values.shape[1])
        elif self.config.lead:
            self._put_lead(sight, context)
        return sight

    def _put_lead(self, sight: Sight, context: Row) -> None:
        """The tokens that stand for the image, of which the last ones look at all of it."""
        num_images, num_context = context.values.shape[:2]
        ids = torch.tensor(self.config.lead, device=self.device)
        sight.prefix = self.decoder.embed(ids).expand(num_images, -1, -1)
        shown = sight.context_mask
        if shown is None:
            shown = torch.ones(num_images, num_context, dtype=torch.bool, device=self.device)
        sees = torch.arange(len(ids), device=self.device) >= len(ids) - self.config.lead_sees
        sight.prefix_reach = sees[None, :, None] & shown[:, None]

    def parts(self) -> dict[str, nn.Module]:
        """The common parts, and the connector and tags if there are any."""
        added = nn.ModuleList([self.connector, self.layout])
        return super().parts() | ({"connector": added} if list(added.parameters()) else {})


def _shown(looks: Sequence[Look], context: Row) -> Tensor | None:
    """bool ``[B, M]``: which image tokens are neither padding nor of an empty tile; None: all."""
    shown = looks[0].shown
    if shown is None:
        return context.mask
    of_tokens = shown[:, None].expand(looks[0].tokens.shape[:2])
    return in_rows([of_tokens], [looks[0].images], len(context.values)).values


def _check_lead(config: CrossAttn.Config, decoder: Decoder.Config) -> None:
    if not config.lead:
        refuse_unused(config, ("lead_sees",), "no tokens stand for the image", "lead")
        return
    if config.tile_tags:
        raise UserError(f"option 'lead' is {config.lead}, but tags stand for the tiles: leave out lead or tile_tags")
    check_token_ids(config, ("lead",), decoder.vocab_size + decoder.extra_embeddings)
    if not 0 <= config.lead_sees <= len(config.lead):
        raise UserError(f"option 'lead_sees' is {config.lead_sees}; it must be from 0 to {len(config.lead)}")
