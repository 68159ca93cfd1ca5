"""The language model: a decoder-only Transformer of the Llama type, weight-compatible with Llama checkpoints.

RMSNorm before each part, rotary positions, grouped-query attention, SwiGLU (arXiv 2302.13971, 2307.09288). It takes
embeddings, explicit positions and a mask, so that a family can put image tokens in front and pack several texts.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.config.model import LanguageModelSettings
from mmbench.nn.attention import additive_mask, attend, compute_dtype
from mmbench.nn.cache import KeyValueCache
from mmbench.nn.feed_forward import SwiGLU


class Decoder(nn.Module):
    """Embeddings in, hidden states out; ``embed`` and ``logits`` are the two ends."""

    @dataclass
    class Config:
        """Sizes of the decoder, as a Llama-type ``config.json`` states them.

        Raises:
            UserError: the sizes do not fit together.
        """

        vocab_size: int
        """Entries of the vocabulary."""
        width: int = 192
        """Width of the residual stream."""
        depth: int = 4
        """Number of blocks."""
        num_heads: int = 6
        """Query heads."""
        num_kv_heads: int = 2
        """Key and value heads; divides ``num_heads``."""
        feed_forward_width: int = 512
        """Inner width of the SwiGLU feed-forward."""
        rope_theta: float = 10000.0
        """Base of the rotary position embedding."""
        norm_eps: float = 1e-5
        """Added to the mean square in RMSNorm."""
        tie_embeddings: bool = True
        """Whether the vocabulary projection is the embedding's transpose."""
        head_dim: int | None = None
        """Width of a head; ``width / num_heads`` if not given."""

        def __post_init__(self) -> None:
            if self.num_heads % self.num_kv_heads:
                raise UserError(
                    f"num_heads {self.num_heads} must be a multiple of num_kv_heads {self.num_kv_heads}: change either"
                )
            if self.head_dim is None:
                if self.width % self.num_heads:
                    raise UserError(
                        f"width {self.width} must be a multiple of num_heads {self.num_heads}: change either"
                    )
                self.head_dim = self.width // self.num_heads
            if self.head_dim % 2:
                raise UserError(f"the width of a head is {self.head_dim}, but rotary positions need an even one")

        @classmethod
        def from_settings(cls, settings: LanguageModelSettings, vocab_size: int) -> "Decoder.Config":
            """The sizes in a comparison's settings, with the tokenizer's vocabulary."""
            return cls(
                vocab_size=vocab_size,
                width=settings.width,
                depth=settings.depth,
                num_heads=settings.num_heads,
                num_kv_heads=settings.num_kv_heads,
                feed_forward_width=settings.feed_forward_width,
                rope_theta=settings.rope_theta,
                norm_eps=settings.norm_eps,
                tie_embeddings=settings.tie_embeddings,
            )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.head = None if config.tie_embeddings else nn.Linear(config.width, config.vocab_size, bias=False)
        self._initialise()

    def embed(self, token_ids: Tensor) -> Tensor:
        """Ids ``[B, T]`` to embeddings ``[B, T, D]``."""
        embeddings: Tensor = self.embedding(token_ids)
        return embeddings

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
        between: Callable[[int, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Run the blocks.

        Args:
            x: embeddings ``[B, L, D]``.
            positions: int ``[B, L]``, the rotary position of each.
            mask: bool ``[B or 1, 1, L, K]``, True = attend; ``K`` counts the cache's entries and then these ``L``.
                None = plain causal.
            cache: keys and values of what came before; those of ``x`` are added to it.
            between: called before block ``i`` with ``(i, hidden)``, gives the hidden states ``[B, L, D]`` to go on
                with. Gated cross-attention comes in here, without the decoder knowing of it.

        Returns:
            hidden states ``[B, L, D]`` after the final norm.
        """
        length, past = x.shape[1], cache.length if cache is not None else 0
        if mask is None and past and length > 1:
            mask = torch.ones(1, 1, length, past + length, dtype=torch.bool, device=x.device).tril(past)
        dtype = compute_dtype(x)
        bias = None if mask is None else additive_mask(mask, dtype)
        rotation = rotary_tables(positions, self.config.head_dim or 0, self.config.rope_theta, dtype)
        for i, block in enumerate(self.blocks):
            if between is not None:
                x = between(i, x)
            x = block(x, rotation, bias, cache, i)
        if cache is not None:
            cache.advance(length)
        hidden: Tensor = self.norm(x)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states ``[..., D]`` to next-token scores ``[..., V]``; give it only the positions that are needed."""
        return F.linear(hidden, self.embedding.weight if self.head is None else self.head.weight)

    def auxiliary_losses(self) -> dict[str, Tensor]:
        """Objective -> mean loss of the last forward pass that keeps a mixture of experts in balance; {} without one."""
        return {}

    def num_idle_parameters(self) -> int:
        """Parameters that a token does not go through: those of the experts it is not sent to."""
        return 0

    @torch.no_grad()
    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                # What is added to the residual stream starts smaller the more is added (GPT-2's rule).
                into_residual = name.endswith(("output.weight", "down.weight"))
                parameter.normal_(0, 0.02 / math.sqrt(2 * self.config.depth) if into_residual else 0.02)


class Block(nn.Module):
    """``x + attention(norm(x))``, then ``x + feed_forward(norm(x))``."""

    def __init__(self, config: Decoder.Config) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.attention = SelfAttention(config)
        self.feed_forward_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.feed_forward = SwiGLU(config.width, config.feed_forward_width)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | None, cache: KeyValueCache | None, layer: int
    ) -> Tensor:
        """``[B, L, D]`` to ``[B, L, D]``."""
        x = x + self.attention(self.attention_norm(x), rotation, mask, cache, layer)
        out: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return out


class SelfAttention(nn.Module):
    """Grouped-query attention with rotary positions.

    One matrix makes queries, keys and values: under autocast the input is then cast once, not three times.
    """

    def __init__(self, config: Decoder.Config) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim = config.num_heads, config.num_kv_heads, config.head_dim or 0
        self.query_key_value = nn.Linear(
            config.width, (self.num_heads + 2 * self.num_kv_heads) * self.head_dim, bias=False
        )
        self.output = nn.Linear(self.num_heads * self.head_dim, config.width, bias=False)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | None, cache: KeyValueCache | None, layer: int
    ) -> Tensor:
        """``[B, L, D]`` to ``[B, L, D]``."""
        batch, length, _ = x.shape
        heads = self.query_key_value(x).view(batch, length, -1, self.head_dim)  # [B, L, H + 2 Hkv, Dh]
        rotated = rotate(heads[:, :, : -self.num_kv_heads], rotation).transpose(1, 2)  # [B, H + Hkv, L, Dh]
        q, k = rotated[:, : self.num_heads], rotated[:, self.num_heads :]
        v = heads[:, :, -self.num_kv_heads :].transpose(1, 2)  # [B, Hkv, L, Dh]
        if cache is not None:
            k, v = cache.append(layer, k, v)
        attended = attend(q, k, v, mask, causal=mask is None and k.shape[2] == length > 1)
        out: Tensor = self.output(attended.transpose(1, 2).reshape(batch, length, -1))
        return out


def rotary_tables(positions: Tensor, head_dim: int, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``[B, L, 1, Dh / 2]`` of the rotary embedding (arXiv 2104.09864) for positions ``[B, L]``.

    Angles in float32, whatever ``dtype``: they grow with the position and would lose their fraction.
    """
    exponents = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32) / head_dim
    angles = positions[:, :, None, None].float() * theta**-exponents
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn heads ``[B, L, H, Dh]`` by their position; dimension ``i`` pairs with ``i + Dh / 2``, as at Hugging Face."""
    cos, sin = rotation
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)
