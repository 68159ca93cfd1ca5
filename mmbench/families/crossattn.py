"""Cross-attention: the decoder reads text alone; gated layers between its blocks look at the image.

Flamingo, arXiv 2204.14198.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from mmbench.families.family import SharedParts
from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.families.sight import Sight
from mmbench.families.trunk import Between
from mmbench.families.vision.connecting import ConnectorOptions, connector_for, size_step
from mmbench.families.vision.gated import (
    GatedOptions,
    attend_between,
    gated_layers,
    gates_of,
    keys_values,
    reach_of,
)
from mmbench.families.vision.layout import Layout, LayoutOptions
from mmbench.families.vision.look import LookOptions, joined_dim, look, prepared
from mmbench.families.vision.options import refuse_unused
from mmbench.families.vision.rows import in_rows


class CrossAttn(SeeingDecoder):
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

    def __init__(self, config: Config, shared: SharedParts, objective_weights: Mapping[str, float]) -> None:
        super().__init__(shared, objective_weights)
        self.config = config
        self.encoder = prepared(shared.encoder, config, shared.image_size)
        decoder = shared.decoder.config
        width = decoder.width if config.context_width is None else config.context_width
        if config.connector == "none":
            refuse_unused(config, ("context_width",), "there is no connector", "a connector")
            width = joined_dim(self.encoder, config)
        side = config.side(shared.image_size)
        self.connector, _ = connector_for(config, config, self.encoder, width, side)
        tags = LayoutOptions(tile_tags=config.tile_tags)
        self.layout = Layout(tags, decoder, config.num_tags, None)
        self.cross_attention = gated_layers(config, decoder, self.connector.out_dim)

    @property
    def size_step(self) -> int:
        """Views, and what the connector joins of them, divide into patches."""
        return size_step(self.config, self.encoder, self.connector)

    def see(self, images: Tensor, sizes: Tensor | None = None) -> Sight:
        """Each gated layer gets its keys and values; nothing but the tags of tiles enters the context."""
        looks = [one.through(self.connector) for one in look(self.encoder, images, sizes, self.config)]
        context = in_rows([one.tokens for one in looks], [one.images for one in looks], len(images))
        sight = Sight(contexts=keys_values(self.cross_attention, context.values), context_mask=context.mask)
        if self.config.tile_tags:
            tags = self.layout([one.without_tokens(self.decoder.config.width) for one in looks], len(images))
            sight.prefix, sight.prefix_mask = tags.values, tags.mask
            sight.prefix_reach = reach_of(tags.columns[0], context, looks[0].images, tags.values.shape[1])
        return sight

    def between(self, sight: Sight, sees_image: Tensor, num_prefix: int) -> Between | None:
        """The gated layer before a block, where it has one."""
        return attend_between(self.cross_attention, sight, sees_image, num_prefix)

    def parts(self) -> dict[str, nn.Module]:
        """The common parts, the connector and tags if there are any, the gated layers, and the gates alone.

        A gate is one number for a whole layer, which wants a learning rate of its own.
        """
        added = nn.ModuleList([self.connector, self.layout])
        connector = {"connector": added} if list(added.parameters()) else {}
        gates = gates_of(self.cross_attention)
        return {**super().parts(), **connector, "cross_attention": self.cross_attention, "gates": gates}
