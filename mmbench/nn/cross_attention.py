"""Gated cross-attention: how image tokens enter a decoder between its blocks."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mmbench.nn.attention import additive_mask, attend, compute_dtype
from mmbench.nn.feed_forward import FeedForward
from mmbench.nn.norms import RMSNorm

Unreached = Literal["nothing", "feed_forward", "attention"]
"""What of a layer acts on a position whose row of the mask reaches no image token: nothing, so that it comes back as it
is; the feed-forward alone; or the attention alone, which then reaches every token."""

KINDS: dict[str, dict[str, Any]] = {
    "flamingo": {},
    "idefics": {"unreached": "feed_forward"},
    "mllama": {"qk_norm": True, "unreached": "attention"},
}
"""What makes a `GatedCrossAttention` that of a published model. Flamingo's is ours; Hugging Face's ``idefics`` and
``mllama`` differ in what they do to positions before the first image, and these are what their weights go with.
Whether queries and keys are normed, and whether gates are vectors, differs between checkpoints of ``idefics``."""


@dataclass
class ContextMask:
    """Which image tokens each position attends to; made once, for all gated layers."""

    bias: Tensor
    """``[B or 1, 1, L, M]``, added to the scores; 0 everywhere where a row reaches nothing."""
    reaches: Tensor
    """bool ``[B or 1, L]``: the positions that reach an image token."""

    @classmethod
    def of(cls, mask: Tensor, dtype: torch.dtype) -> "ContextMask":
        """From a bool mask ``[B or 1, 1, L, M]``, True = attend, for attention in ``dtype``."""
        reaches = mask.any(-1)
        return cls(additive_mask(mask | ~reaches[..., None], dtype), reaches[:, 0])


class GatedCrossAttention(nn.Module):
    """Queries from the text, keys and values from the image (Flamingo, arXiv 2204.14198).

    Attention and feed-forward are each scaled by the ``tanh`` of a gate that starts at 0, so that a new layer passes
    its input on exactly as it is.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        num_kv_heads: int,
        context_dim: int,
        feed_forward_width: int,
        feed_forward: bool = True,
        norm_eps: float = 1e-5,
        *,
        head_dim: int | None = None,
        qk_norm: bool = False,
        vector_gates: bool = False,
        unreached: Unreached = "nothing",
    ) -> None:
        """Make a layer.

        Args:
            width: of the decoder.
            num_heads: query heads.
            num_kv_heads: key and value heads; divides ``num_heads``.
            context_dim: width of the image tokens.
            feed_forward_width: inner width of the feed-forward.
            feed_forward: whether there is one.
            norm_eps: added to the mean square in RMSNorm.
            head_dim: width of a head; ``width / num_heads`` if not given.
            qk_norm: whether queries and keys of each head go through an RMSNorm (Llama 3, arXiv 2407.21783).
            vector_gates: a gate for each entry of the width instead of one number.
            unreached: what acts on positions that a mask lets reach nothing.
        """
        super().__init__()
        self.num_kv_heads, self.head_dim = num_kv_heads, head_dim or width // num_heads
        self.unreached = unreached
        inner_dim = num_heads * self.head_dim
        self.attention_norm = RMSNorm(width, eps=norm_eps)
        self.query = nn.Linear(width, inner_dim, bias=False)
        self.key_value = nn.Linear(context_dim, 2 * num_kv_heads * self.head_dim, bias=False)
        self.output = nn.Linear(inner_dim, width, bias=False)
        self.query_norm = RMSNorm(self.head_dim, eps=norm_eps) if qk_norm else None
        self.key_norm = RMSNorm(self.head_dim, eps=norm_eps) if qk_norm else None
        self.attention_gate = nn.Parameter(torch.zeros(width if vector_gates else 1))
        self.has_feed_forward = feed_forward
        if feed_forward:
            self.feed_forward_norm = RMSNorm(width, eps=norm_eps)
            self.feed_forward = FeedForward(width, feed_forward_width)
            self.feed_forward_gate = nn.Parameter(torch.zeros(width if vector_gates else 1))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.02)

    def gates(self) -> list[nn.Parameter]:
        """The layer's gates, each one number or a vector of the decoder's width."""
        return [self.attention_gate, *([self.feed_forward_gate] if self.has_feed_forward else [])]

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Image tokens ``[B, M, Dctx]`` to keys and values ``[B, Hkv, M, Dh]``: once for all decoding steps."""
        batch, num_tokens, _ = context.shape
        heads = self.key_value(context).view(batch, num_tokens, 2, self.num_kv_heads, self.head_dim)
        k, v = heads.permute(2, 0, 3, 1, 4)
        return k if self.key_norm is None else self.key_norm(k), v

    def forward(
        self,
        x: Tensor,
        kv: tuple[Tensor, Tensor],
        sees_image: Tensor | None = None,
        mask: Tensor | ContextMask | None = None,
    ) -> Tensor:
        """Bring the image in.

        Args:
            x: hidden states of the text ``[B, L, D]``.
            kv: what `keys_values` gave for the rows' images.
            sees_image: bool ``[B, L]``; positions with False get exactly their ``x`` back. None = all see it.
            mask: which image tokens each position attends to: bool ``[B or 1, 1, L, M]``, or that made once for all
                layers. None = to all. A position that reaches none is dealt with as ``unreached`` says.

        Returns:
            ``[B, L, D]``
        """
        batch, length, _ = x.shape
        if isinstance(mask, Tensor):
            mask = ContextMask.of(mask, compute_dtype(x))
        q = self.query(self.attention_norm(x)).view(batch, length, -1, self.head_dim).transpose(1, 2)
        q = q if self.query_norm is None else self.query_norm(q)
        attended = attend(q, *kv, None if mask is None else mask.bias)
        update = self.output(attended.transpose(1, 2).reshape(batch, length, -1))
        if mask is not None and self.unreached != "attention":
            update = update.masked_fill(~mask.reaches[..., None], 0)
        out = x + update * torch.tanh(self.attention_gate)
        if self.has_feed_forward:
            update = self.feed_forward(self.feed_forward_norm(out))
            if mask is not None and self.unreached != "feed_forward":
                update = update.masked_fill(~mask.reaches[..., None], 0)
            out = out + update * torch.tanh(self.feed_forward_gate)
        return out if sees_image is None else torch.where(sees_image[:, :, None], out, x)
