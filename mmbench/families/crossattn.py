"""Cross-attention: the decoder reads text alone; gated layers between its blocks look at the image.

Flamingo, arXiv 2204.14198.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.families.family import SharedParts
from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.families.sight import Sight
from mmbench.families.trunk import Between
from mmbench.nn.cross_attention import GatedCrossAttention


class CrossAttn(SeeingDecoder):
    """encoder -> keys and values, once an image; text queries them before every k-th block, gates start at 0."""

    matched_width: ClassVar[str] = "feed_forward_width"

    @dataclass
    class Config:
        """Settings of a cross-attention system."""

        every: int = 2
        """A gated layer stands before every so many blocks, the first included."""
        feed_forward: bool = True
        """Whether a gated layer has a feed-forward of its own, as in Flamingo."""
        feed_forward_width: int | None = None
        """Inner width of that feed-forward; the decoder's if not given."""

    def __init__(self, config: Config, shared: SharedParts, objective_weights: Mapping[str, float]) -> None:
        super().__init__(shared, objective_weights)
        self.cross_attention = gated_layers(shared, config.every, config.feed_forward, config.feed_forward_width)

    def see(self, images: Tensor, sizes: Tensor | None = None) -> Sight:
        """No token enters the context; each gated layer gets its keys and values."""
        return Sight(contexts=look(self.cross_attention, self.encoder(self.encoder.normalise(images))))

    def between(self, sight: Sight, sees_image: Tensor, num_prefix: int) -> Between | None:
        """The gated layer before a block, where it has one."""
        return attend_between(self.cross_attention, sight, sees_image)

    def parts(self) -> dict[str, nn.Module]:
        """The common parts, the gated layers and, since a gate is one number for a whole layer, the gates alone."""
        return {**super().parts(), "cross_attention": self.cross_attention, "gates": gates_of(self.cross_attention)}


def gated_layers(
    shared: SharedParts, every: int, feed_forward: bool, feed_forward_width: int | None = None
) -> nn.ModuleDict:
    """Block index -> the gated layer before it.

    Raises:
        UserError: ``every`` is no number of blocks, or the feed-forward has no such width.
    """
    decoder = shared.decoder.config
    if not 1 <= every <= decoder.depth:
        raise UserError(f"option 'every' is {every}; it must be from 1 to the decoder's depth, {decoder.depth}")
    if feed_forward_width is not None and not feed_forward:
        raise UserError(
            f"option 'feed_forward_width' is {feed_forward_width}, but the gated layers have no feed-forward: "
            "leave the option out, or give feed_forward: true"
        )
    inner = decoder.feed_forward_width if feed_forward_width is None else feed_forward_width
    if inner < 1:
        raise UserError(f"option 'feed_forward_width' is {inner}; it must be at least 1")
    return nn.ModuleDict(
        {
            str(block): GatedCrossAttention(
                decoder.width, decoder.num_heads, decoder.num_kv_heads, shared.encoder.dim, inner, feed_forward
            )
            for block in range(0, decoder.depth, every)
        }
    )


def gates_of(layers: nn.ModuleDict) -> nn.ParameterList:
    """The gates of all gated layers."""
    gated = [layer for layer in layers.values() if isinstance(layer, GatedCrossAttention)]
    return nn.ParameterList(gate for layer in gated for gate in layer.gates())


def look(layers: nn.ModuleDict, image_tokens: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
    """Keys and values of ``image_tokens [B, N, D_enc]`` for each gated layer."""
    return {int(block): _layer(layers, block).keys_values(image_tokens) for block in layers}


def attend_between(layers: nn.ModuleDict, sight: Sight, sees_image: Tensor) -> Between | None:
    """What happens before each block: its gated layer, if it has one and there is an image."""
    contexts = sight.contexts
    if contexts is None:
        return None

    def before_block(block: int, hidden: Tensor) -> Tensor:
        if block not in contexts:
            return hidden
        seen: Tensor = _layer(layers, str(block))(hidden, contexts[block], sees_image)
        return seen

    return before_block


def _layer(layers: nn.ModuleDict, block: str) -> GatedCrossAttention:
    return cast(GatedCrossAttention, layers[block])
