"""Gated cross-attention between a decoder's blocks: which blocks have a layer, and who looks at what of the image."""

from dataclasses import dataclass, field
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmbench.config.errors import UserError
from mmbench.families.sight import Contexts, Sight
from mmbench.families.trunk import Between
from mmbench.families.vision.options import refuse_unused
from mmbench.families.vision.rows import Row
from mmbench.nn.attention import compute_dtype
from mmbench.nn.cross_attention import KINDS, ContextMask, GatedCrossAttention
from mmbench.nn.decoder import Decoder


@dataclass
class GatedOptions:
    """Options of the gated layers."""

    every: int = 2
    """A gated layer stands before every so many blocks."""
    first: int = 0
    """The first block with a gated layer before it."""
    blocks: list[int] = field(default_factory=list)
    """The blocks with a gated layer before them, where ``every`` and ``first`` cannot say it."""
    gated: Literal["flamingo", "idefics", "mllama"] = "flamingo"
    """The kind of layer: Flamingo's, or one that goes with published weights."""
    qk_norm: bool = False
    """Whether queries and keys of each head are normed (Llama 3, arXiv 2407.21783); ``mllama`` has that anyway, and
    ``idefics`` in its published sizes."""
    vector_gates: bool = False
    """Whether there is a gate for each entry of the width instead of one number."""
    feed_forward: bool = True
    """Whether a gated layer has a gated feed-forward of its own, as in Flamingo."""
    feed_forward_width: int | None = None
    """Inner width of that feed-forward; the decoder's if not given."""


def gated_layers(options: GatedOptions, decoder: Decoder.Config, context_dim: int) -> nn.ModuleDict:
    """Block index -> the gated layer before it.

    Raises:
        UserError: no such block, or the feed-forward has no such width.
    """
    if options.feed_forward_width is not None and not options.feed_forward:
        raise UserError(
            f"option 'feed_forward_width' is {options.feed_forward_width}, but the gated layers have no feed-forward: "
            "leave the option out, or give feed_forward: true"
        )
    inner = decoder.feed_forward_width if options.feed_forward_width is None else options.feed_forward_width
    if inner < 1:
        raise UserError(f"option 'feed_forward_width' is {inner}; it must be at least 1")
    kind = {"qk_norm": options.qk_norm, "vector_gates": options.vector_gates, **KINDS[options.gated]}
    return nn.ModuleDict(
        {
            str(block): GatedCrossAttention(
                decoder.width,
                decoder.num_heads,
                decoder.num_kv_heads,
                context_dim,
                inner,
                options.feed_forward,
                decoder.norm_eps,
                head_dim=decoder.head_dim,
                **kind,
            )
            for block in _blocks(options, decoder.depth)
        }
    )


def _blocks(options: GatedOptions, depth: int) -> list[int]:
    """The blocks with a gated layer before them."""
    if options.blocks:
        refuse_unused(options, ("every", "first"), "'blocks' says which blocks have a gated layer", "no 'blocks'")
        if len(set(options.blocks)) < len(options.blocks) or not all(0 <= block < depth for block in options.blocks):
            raise UserError(f"option 'blocks' is {options.blocks}; it must be different numbers from 0 to {depth - 1}")
        return sorted(options.blocks)
    for name, lowest, highest in (("every", 1, depth), ("first", 0, depth - 1)):
        value = getattr(options, name)
        if not lowest <= value <= highest:
            raise UserError(
                f"option '{name}' is {value}; it must be from {lowest} to {highest}, for the decoder has a depth of "
                f"{depth}"
            )
    return list(range(options.first, depth, options.every))


def gates_of(layers: nn.ModuleDict) -> nn.ParameterList:
    """The gates of all gated layers."""
    return nn.ParameterList(gate for block in layers for gate in _layer(layers, block).gates())


def keys_values(layers: nn.ModuleDict, context: Tensor) -> Contexts:
    """Keys and values of image tokens ``[B, M, D]`` for each gated layer: once for a whole generation."""
    return {int(block): _layer(layers, block).keys_values(context) for block in layers}


def reach_of(tags: Tensor, context: Row, images: list[int], num_prefix: int) -> Tensor:
    """bool ``[B, N, M]``: the tag of a view reaches the tokens of that view, and nothing else reaches any.

    Args:
        tags: int64 ``[V, 1]``, where in its image's prefix the tag of each view stands.
        context: the tokens of the same views, in one piece.
        images: which image each is a view of.
        num_prefix: ``N``.
    """
    owners = torch.tensor(images, device=tags.device)[:, None]
    num_images, num_context = context.values.shape[:2]
    reach = torch.zeros(num_images, num_prefix, num_context, dtype=torch.bool, device=tags.device)
    reach[owners, tags, context.columns[0]] = True
    return reach


def attend_between(layers: nn.ModuleDict, sight: Sight, sees_image: Tensor, num_prefix: int) -> Between | None:
    """What happens before each block: its gated layer, if it has one and there is an image.

    Text that sees the image attends to all of it, <bos> to nothing, a token of the prefix to what it reaches.
    """
    contexts = sight.contexts
    if not contexts:
        return None
    sees, mask = _reach(layers, sight, sees_image, num_prefix)
    made: list[ContextMask] = []

    def before_block(block: int, hidden: Tensor) -> Tensor:
        if block not in contexts:
            return hidden
        if mask is not None and not made:
            made.append(ContextMask.of(mask, compute_dtype(hidden)))
        seen: Tensor = _layer(layers, str(block))(hidden, contexts[block], sees, made[0] if made else None)
        return seen

    return before_block


def _reach(layers: nn.ModuleDict, sight: Sight, sees_image: Tensor, num_prefix: int) -> tuple[Tensor, Tensor | None]:
    """Who looks at all, bool ``[B, L]``, and at what, bool ``[B, 1, L, M]``; None: at everything."""
    seen = sight.context_mask
    # Weights that were trained with something done to what reaches nothing want it done to <bos>, too.
    prefix_acts = num_prefix > 0 and any(_layer(layers, block).unreached != "nothing" for block in layers)
    if seen is None and (not num_prefix or (sight.prefix_reach is None and not prefix_acts)):
        return sees_image, None
    num_rows, num_context = len(sees_image), next(iter(sight.contexts.values()))[0].shape[2]  # type: ignore[union-attr]
    if seen is None:
        seen = torch.ones(num_rows, num_context, dtype=torch.bool, device=sees_image.device)
    of_text = sees_image[:, num_prefix:, None] & seen[:, None]
    of_prefix = of_text.new_zeros(num_rows, num_prefix, num_context)
    sees = sees_image
    if num_prefix and sight.prefix_reach is not None:
        of_prefix = F.pad(sight.prefix_reach, (0, 0, 1, 0))
    if num_prefix:
        acts = torch.ones_like(of_prefix[..., 0]) if prefix_acts else of_prefix.any(dim=-1)
        sees = torch.cat([acts, sees_image[:, num_prefix:]], dim=1)
    return sees, torch.cat([of_prefix, of_text], dim=1)[:, None]


def _layer(layers: nn.ModuleDict, block: str) -> GatedCrossAttention:
    return cast(GatedCrossAttention, layers[block])
