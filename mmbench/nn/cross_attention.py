"""Gated cross-attention: how image tokens enter a decoder between its blocks."""

import torch
from torch import Tensor, nn

from mmbench.nn.attention import attend
from mmbench.nn.feed_forward import SwiGLU


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
    ) -> None:
        super().__init__()
        self.num_kv_heads, self.head_dim = num_kv_heads, width // num_heads
        inner_dim = num_heads * self.head_dim
        self.attention_norm = nn.RMSNorm(width, eps=norm_eps)
        self.query = nn.Linear(width, inner_dim, bias=False)
        self.key_value = nn.Linear(context_dim, 2 * num_kv_heads * self.head_dim, bias=False)
        self.output = nn.Linear(inner_dim, width, bias=False)
        self.attention_gate = nn.Parameter(torch.zeros(1))
        self.has_feed_forward = feed_forward
        if feed_forward:
            self.feed_forward_norm = nn.RMSNorm(width, eps=norm_eps)
            self.feed_forward = SwiGLU(width, feed_forward_width)
            self.feed_forward_gate = nn.Parameter(torch.zeros(1))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.02)

    def gates(self) -> list[nn.Parameter]:
        """The layer's gates, each one number."""
        return [self.attention_gate, *([self.feed_forward_gate] if self.has_feed_forward else [])]

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Image tokens ``[B, N, Dctx]`` to keys and values ``[B, Hkv, N, Dh]``: once for all decoding steps."""
        batch, num_tokens, _ = context.shape
        heads = self.key_value(context).view(batch, num_tokens, 2, self.num_kv_heads, self.head_dim)
        k, v = heads.permute(2, 0, 3, 1, 4)
        return k, v

    def forward(self, x: Tensor, kv: tuple[Tensor, Tensor], sees_image: Tensor | None = None) -> Tensor:
        """Bring the image in.

        Args:
            x: hidden states of the text ``[B, L, D]``.
            kv: what `keys_values` gave for the rows' images.
            sees_image: bool ``[B, L]``; positions with False get exactly their ``x`` back. None = all see it.

        Returns:
            ``[B, L, D]``
        """
        batch, length, _ = x.shape
        q = self.query(self.attention_norm(x)).view(batch, length, -1, self.head_dim).transpose(1, 2)
        update = self.output(attend(q, *kv).transpose(1, 2).reshape(batch, length, -1))
        out = x + update * torch.tanh(self.attention_gate)
        if self.has_feed_forward:
            out = out + self.feed_forward(self.feed_forward_norm(out)) * torch.tanh(self.feed_forward_gate)
        return out if sees_image is None else torch.where(sees_image[:, :, None], out, x)
