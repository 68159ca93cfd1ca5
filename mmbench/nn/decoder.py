"""The language model: a decoder-only Transformer of the Llama type, and the variants of it that published models are.

By default RMSNorm before each part, rotary positions, grouped-query attention, SwiGLU (arXiv 2302.13971, 2307.09288).
It takes embeddings, explicit positions and a mask, so that a family can put image tokens in front and pack several
texts; with a mask that hides nothing it is a text encoder.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.config.model import ExpertSettings, LanguageModelSettings
from mmbench.nn.attention import additive_mask, compute_dtype
from mmbench.nn.cache import KeyValueCache
from mmbench.nn.config_checks import check_choice, check_whole
from mmbench.nn.feed_forward import ACTIVATIONS, Activation, FeedForward
from mmbench.nn.masks import attends_to_itself, causal_mask, windowed_mask
from mmbench.nn.mixture_of_experts import MixtureOfExperts, balance_loss, router_z_loss
from mmbench.nn.norms import Norm, build_norm
from mmbench.nn.rotary import RopeScaling, Rotation, mrope_sections, rotary_tables
from mmbench.nn.self_attention import SelfAttention


class Decoder(nn.Module):
    """Embeddings in, hidden states out; ``embed`` and ``logits`` are the two ends."""

    @dataclass
    class Config:
        """Sizes and variants of the decoder; those that it has by default are Llama's.

        Raises:
            UserError: they do not fit together.
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
        """Inner width of the feed-forward."""
        rope_theta: float = 10000.0
        """Base of the rotary position embedding."""
        norm_eps: float = 1e-5
        """Added to the mean square or variance in the norms."""
        tie_embeddings: bool = True
        """Whether the vocabulary projection is the embedding's transpose."""
        head_dim: int | None = None
        """Width of a head; ``width / num_heads`` if not given."""
        norm: Norm = "rms"
        """``rms`` or ``layer``."""
        norm_bias: bool = True
        """Whether a LayerNorm has a bias."""
        qkv_bias: bool = False
        """Whether queries, keys and values have biases (Qwen2)."""
        output_bias: bool = False
        """Whether the attention's output has a bias."""
        feed_forward_bias: bool = False
        """Whether the feed-forward has biases."""
        gated: bool = True
        """Whether the feed-forward has a gate."""
        activation: Activation = "silu"
        """The feed-forward's activation function."""
        rotary_share: float = 1.0
        """Share of a head's dimensions that turn with the position; 0: none."""
        rope_scaling: RopeScaling | None = None
        """Slower turning for longer contexts."""
        mrope_sections: list[int] | None = None
        """How many frequencies turn with time, with height and with width (M-RoPE, arXiv 2409.12191)."""
        qk_norm: Norm | None = None
        """A norm over each head's queries and keys, before they turn."""
        sliding_window: int | None = None
        """How many positions back a token attends to, itself included (Mistral, arXiv 2310.06825)."""
        max_positions: int = 0
        """Entries of a learned position embedding, added to the token embeddings; 0: there is none."""
        extra_embeddings: int = 0
        """Entries of the embedding beyond the vocabulary, which are read and never predicted."""
        experts: ExpertSettings = field(default_factory=ExpertSettings)
        """A mixture of experts in the place of each feed-forward; ``num_experts`` 0: none."""

        def __post_init__(self) -> None:
            sizes = ("width", "depth", "num_heads", "num_kv_heads", "feed_forward_width", "head_dim", "sliding_window")
            check_whole(self, "the language model", 1, *sizes)
            check_whole(self, "the language model", 0, "vocab_size", "max_positions", "extra_embeddings")
            check_choice(self, "the language model", ACTIVATIONS, "activation")
            for name in ("norm", "qk_norm"):
                check_choice(self, "the language model", get_args(Norm), name)
            if not 0 <= self.rotary_share <= 1:
                raise UserError(f"the language model's rotary_share is {self.rotary_share}; it must be from 0 to 1")
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
            if self.rotary_dim % 2:
                raise UserError(
                    f"of a head's {self.head_dim} dimensions {self.rotary_dim} turn, but rotary positions need an even "
                    "number: change the width of a head or rotary_share"
                )
            sections = self.mrope_sections
            fit = sections is None or (len(sections) == 3 and min(sections) >= 0)
            if not fit or (sections is not None and sum(sections) != self.rotary_dim // 2):
                raise UserError(
                    f"mrope_sections are {sections}; they must be three numbers that add up to {self.rotary_dim // 2}, "
                    "half the dimensions of a head that turn, none below 0: give them so, or 'auto'"
                )
            if self.extra_embeddings and self.tie_embeddings:
                raise UserError(
                    f"extra_embeddings is {self.extra_embeddings}, but with tie_embeddings every entry is predicted: "
                    "set tie_embeddings to false, or count them in vocab_size"
                )
            if sections is not None and self.sliding_window is not None:
                raise UserError(
                    "with mrope_sections a token has no one position to count a sliding_window from: drop one"
                )
            if self.experts.num_experts and not self.gated:
                raise UserError("experts are gated feed-forwards, but gated is false: set it to true, or drop experts")

        @property
        def rotary_dim(self) -> int:
            """Dimensions of a head that turn."""
            return int((self.head_dim or 0) * self.rotary_share)

        @classmethod
        def from_settings(cls, settings: LanguageModelSettings, vocab_size: int) -> "Decoder.Config":
            """The sizes in a comparison's settings, with the tokenizer's vocabulary."""
            config = cls(
                vocab_size=vocab_size,
                width=settings.width,
                depth=settings.depth,
                num_heads=settings.num_heads,
                num_kv_heads=settings.num_kv_heads,
                feed_forward_width=settings.feed_forward_width,
                rope_theta=settings.rope_theta,
                norm_eps=settings.norm_eps,
                tie_embeddings=settings.tie_embeddings,
                experts=settings.experts,
            )
            return config.with_mrope(settings.mrope_sections)

        def with_mrope(self, sections: list[int] | Literal["auto"] | None) -> "Decoder.Config":
            """The same decoder with sections of M-RoPE; with None it is as it was.

            Raises:
                UserError: they do not fit a head.
            """
            if sections is None:
                return self
            return replace(self, mrope_sections=mrope_sections(self.rotary_dim) if sections == "auto" else sections)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size + config.extra_embeddings, config.width)
        if config.max_positions:
            self.position_embedding = nn.Embedding(config.max_positions, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = _norm(config)
        self.head = None if config.tie_embeddings else nn.Linear(config.width, config.vocab_size, bias=False)
        self._is_token: Tensor | None = None
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
        num_last: int | None = None,
        rotation: Rotation | None = None,
    ) -> Tensor:
        """Run the blocks.

        Args:
            x: embeddings ``[B, L, D]``.
            positions: int ``[B, L]``, the position of each; with M-RoPE also ``[B, L, 3]``: time, height, width.
            mask: bool ``[B or 1, 1, L, K]``, True = attend; ``K`` counts the cache's entries and then these ``L``.
                None = plain causal. A token that does not attend to itself is padding: it counts in no auxiliary loss.
            cache: keys and values of what came before; those of ``x`` are added to it.
            between: called before block ``i`` with ``(i, hidden)``, gives the hidden states ``[B, L, D]`` to go on
                with. Gated cross-attention comes in here, without the decoder knowing of it.
            num_last: of how many positions, counted from the last, hidden states are wanted; the last block then
                computes those alone. None = of all.
            rotation: what `rotation` gives for these positions, where it was made before. None = it is made.

        Returns:
            hidden states ``[B, L or num_last, D]`` after the final norm.

        Raises:
            ValueError: a position lies beyond the learned ones, or has three columns without M-RoPE.
        """
        config = self.config
        length, past = x.shape[1], cache.length if cache is not None else 0
        if mask is None and past and length > 1:
            mask = causal_mask(length, past, x.device)
        if config.sliding_window is not None:
            of_keys = positions if cache is None else cache.append_positions(positions)
            mask = windowed_mask(mask, config.sliding_window, positions, of_keys)
        if config.experts.num_experts:
            self._is_token = attends_to_itself(mask, x)
        if config.max_positions:
            x = x + self._learned(positions)
        dtype = compute_dtype(x)
        bias = None if mask is None else additive_mask(mask, dtype)
        if rotation is None:
            rotation = self.rotation(positions, dtype)
        # Experts are balanced over all tokens, so that none of them can be left out.
        in_last_block = None if config.experts.num_experts else num_last
        for i, block in enumerate(self.blocks):
            if between is not None:
                x = between(i, x)
            x = block(x, rotation, bias, cache, i, in_last_block if i == config.depth - 1 else None)
        if cache is not None:
            cache.advance(length)
        hidden: Tensor = self.norm(x if num_last is None else x[:, -num_last:])
        return hidden

    def rotation(self, positions: Tensor, dtype: torch.dtype) -> Rotation | None:
        """How far the heads at ``positions`` turn, computed in ``dtype``; None where nothing turns."""
        config = self.config
        if not config.rotary_dim:
            return None
        return rotary_tables(
            positions, config.rotary_dim, config.rope_theta, dtype, config.rope_scaling, config.mrope_sections
        )

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states ``[..., D]`` to next-token scores ``[..., V]``; give it only the positions that are needed."""
        return F.linear(hidden, self.embedding.weight if self.head is None else self.head.weight)

    def auxiliary_losses(self) -> dict[str, Tensor]:
        """What keeps a mixture of experts in balance, of the last forward pass with gradients; empty without experts.

        Returns:
            ``balance`` and ``router_z``, float32 ``[B]`` each: of each row by itself, the mean over the blocks.
        """
        found = [mixture.last_routing for mixture in self._mixtures() if mixture.last_routing is not None]
        is_token = self._is_token
        if not found or is_token is None:
            return {}
        return {
            "balance": torch.stack([balance_loss(routing, is_token) for routing in found]).mean(0),
            "router_z": torch.stack([router_z_loss(routing, is_token) for routing in found]).mean(0),
        }

    def num_active_parameters(self) -> int:
        """Parameters that a token goes through: all, but for the routed experts that are not chosen for it."""
        total = sum(parameter.numel() for parameter in self.parameters())
        return total - sum(mixture.num_idle_parameters() for mixture in self._mixtures())

    def _mixtures(self) -> list[MixtureOfExperts]:
        return [module for module in self.modules() if isinstance(module, MixtureOfExperts)]

    def _learned(self, positions: Tensor) -> Tensor:
        """Learned position embeddings ``[B, L, D]``."""
        last = int(positions.max())
        if last >= self.config.max_positions:
            raise ValueError(
                f"position {last} lies beyond the {self.config.max_positions} learned ones: give shorter texts"
            )
        embeddings: Tensor = self.position_embedding(positions)
        return embeddings

    @torch.no_grad()
    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                # What is added to the residual stream starts smaller the more is added (GPT-2's rule).
                into_residual = name.endswith(("output.weight", "down.weight", "experts.down"))
                parameter.normal_(0, 0.02 / math.sqrt(2 * self.config.depth) if into_residual else 0.02)
            elif name.endswith("bias"):
                parameter.zero_()


class Block(nn.Module):
    """``x + attention(norm(x))``, then ``x + feed_forward(norm(x))``."""

    def __init__(self, config: Decoder.Config) -> None:
        super().__init__()
        self.attention_norm = _norm(config)
        self.attention = SelfAttention(
            config.width,
            config.num_heads,
            config.num_kv_heads,
            config.head_dim or 0,
            qkv_bias=config.qkv_bias,
            output_bias=config.output_bias,
            qk_norm=config.qk_norm,
            norm_eps=config.norm_eps,
        )
        self.feed_forward_norm = _norm(config)
        self.feed_forward = (
            MixtureOfExperts(config.width, config.experts, config.activation, config.feed_forward_bias)
            if config.experts.num_experts
            else FeedForward(
                config.width, config.feed_forward_width, config.gated, config.activation, config.feed_forward_bias
            )
        )

    def forward(
        self,
        x: Tensor,
        rotation: Rotation | None,
        mask: Tensor | None,
        cache: KeyValueCache | None,
        layer: int,
        num_last: int | None = None,
    ) -> Tensor:
        """``[B, L, D]`` to ``[B, L, D]``, or to ``[B, num_last, D]``: the last ones alone."""
        attended = self.attention(self.attention_norm(x), rotation, mask, cache, layer, num_last)
        x = (x if num_last is None else x[:, -num_last:]) + attended
        out: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return out


def _norm(config: Decoder.Config) -> nn.Module:
    return build_norm(config.norm, config.width, config.norm_eps, config.norm_bias)
