"""Tokens to one vector: the maximum, the mean, or a learned query that attends to them."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.nn.attention import attend
from mmbench.nn.feed_forward import FeedForward

Pooling = Literal["max", "mean", "attention"]
"""How tokens become one vector."""


class Pool(nn.Module):
    """One vector of each image or text.

    Args:
        kind: the maximum or the mean, dimension by dimension, or an `AttentionPool`.
        dim: width of a token.
        num_heads: of the attention.
        feed_forward_width: of the attention's feed-forward; four times ``dim`` if not given.
    """

    def __init__(self, kind: Pooling, dim: int, num_heads: int = 1, feed_forward_width: int | None = None) -> None:
        super().__init__()
        self.kind = kind
        if kind == "attention":
            self.attention = AttentionPool(dim, num_heads, feed_forward_width or 4 * dim)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """``[B, N, D]`` to ``[B, D]``; ``mask`` (bool ``[B, N]``) is False where a token is padding."""
        if self.kind == "attention":
            pooled: Tensor = self.attention(tokens, mask)
            return pooled
        return max_over(tokens, mask) if self.kind == "max" else mean_over(tokens, mask)


def mean_over(tokens: Tensor, mask: Tensor | None = None) -> Tensor:
    """``[B, D]`` mean of the tokens ``[B, N, D]`` that ``mask`` (bool ``[B, N]``) leaves; 0 where it leaves none."""
    if mask is None:
        return tokens.mean(dim=1)
    return (tokens * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)


def max_over(tokens: Tensor, mask: Tensor | None = None) -> Tensor:
    """``[B, D]`` maximum, dimension by dimension, of the tokens that are left, as in `mean_over`."""
    if mask is None:
        return tokens.amax(dim=1)
    highest = tokens.masked_fill(~mask[..., None], torch.finfo(tokens.dtype).min).amax(dim=1)
    return torch.where(mask.any(dim=1, keepdim=True), highest, 0.0)


class AttentionPool(nn.Module):
    """A learned query attends to the tokens; a feed-forward follows (SigLIP's head, arXiv 2303.15343; MAP, 2106.04560).

    Raises:
        UserError: the width is no multiple of the number of heads.
    """

    def __init__(self, dim: int, num_heads: int, feed_forward_width: int, norm_eps: float = 1e-6) -> None:
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise UserError(f"tokens of width {dim} cannot be pooled by {num_heads} heads: give a divisor of the width")
        self.num_heads = num_heads
        self.query = nn.Parameter(torch.randn(dim) * 0.02)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim, eps=norm_eps)
        self.feed_forward = FeedForward(dim, feed_forward_width, gated=False, activation="gelu_tanh", bias=True)
        for linear in (self.query_key_value, self.output, self.feed_forward.up, self.feed_forward.down):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """``[B, N, D]`` to ``[B, D]``; ``mask`` (bool ``[B, N]``) is False where a token is padding."""
        batch, num_tokens, dim = tokens.shape
        weights, biases = self.query_key_value.weight, self.query_key_value.bias
        query = F.linear(self.query.to(tokens.dtype), weights[:dim], biases[:dim])
        keys_values = F.linear(tokens, weights[dim:], biases[dim:]).view(batch, num_tokens, 2, self.num_heads, -1)
        k, v = keys_values.permute(2, 0, 3, 1, 4)  # [B, H, N, Dh] each
        q = query.view(1, self.num_heads, 1, -1).expand(batch, -1, -1, -1).to(k.dtype)
        attended = attend(q, k, v, None if mask is None else mask[:, None, None])
        pooled = self.output(attended.reshape(batch, dim))
        out: Tensor = pooled + self.feed_forward(self.norm(pooled))
        return out
