"""The Transformer block of image encoders: pre-norm, bidirectional, in the forms that published encoders have."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmbench.nn.attention import attend
from mmbench.nn.feed_forward import Activation, FeedForward
from mmbench.nn.norms import Norm, build_norm
from mmbench.nn.ragged import Ragged
from mmbench.nn.rotary import rotate


class VisionBlock(nn.Module):
    """``x + attention(norm(x))``, then ``x + feed_forward(norm(x))``."""

    @dataclass
    class Config:
        """Widths and variants."""

        dim: int
        """Width of a token."""
        num_heads: int
        """Heads of the attention."""
        feed_forward_width: int
        """Inner width of the feed-forward."""
        norm: Norm = "layer"
        """LayerNorm or RMSNorm."""
        norm_eps: float = 1e-6
        """Added to the variance or mean square."""
        gated: bool = False
        """Whether the feed-forward is gated."""
        activation: Activation = "gelu"
        """The feed-forward's activation."""
        attention_bias: bool = True
        """Whether the attention's matrices have biases."""
        feed_forward_bias: bool = True
        """Whether the feed-forward's matrices have biases."""
        residual_gates: bool = False
        """Whether a learned ``tanh`` gate scales what each half adds, as in Llama 3.2 Vision's global layers."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.norm1 = build_norm(config.norm, config.dim, config.norm_eps)
        self.query_key_value = nn.Linear(config.dim, 3 * config.dim, bias=config.attention_bias)
        self.output = nn.Linear(config.dim, config.dim, bias=config.attention_bias)
        self.norm2 = build_norm(config.norm, config.dim, config.norm_eps)
        self.feed_forward = FeedForward(
            config.dim,
            config.feed_forward_width,
            gated=config.gated,
            activation=config.activation,
            bias=config.feed_forward_bias,
        )
        start = torch.full((1,), torch.pi / 4)
        self.attention_gate = nn.Parameter(start.clone()) if config.residual_gates else None
        self.feed_forward_gate = nn.Parameter(start.clone()) if config.residual_gates else None

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        rotation: tuple[Tensor, Tensor] | None = None,
        ragged: Ragged | None = None,
    ) -> Tensor:
        """Tokens to tokens of the same shape.

        Args:
            x: ``[B, L, D]``; with ``ragged``, the tokens of all sequences in one row ``[N, D]``.
            mask: as in `attend`; with ``ragged``, of its padded rows.
            rotation: cosines and sines that broadcast over heads ``[..., H, Dh / 2]``.
            ragged: where each sequence begins and ends.
        """
        x = x + _scaled(self._attention(self.norm1(x), mask, rotation, ragged), self.attention_gate)
        return x + _scaled(self.feed_forward(self.norm2(x)), self.feed_forward_gate)

    def _attention(
        self, x: Tensor, mask: Tensor | None, rotation: tuple[Tensor, Tensor] | None, ragged: Ragged | None
    ) -> Tensor:
        heads = self.query_key_value(x).unflatten(-1, (3 * self.num_heads, -1))  # [..., 3 H, Dh]
        qk, v = heads[..., : 2 * self.num_heads, :], heads[..., 2 * self.num_heads :, :]
        if rotation is not None:
            qk = rotate(qk, rotation)
        if ragged is not None:
            qk, v = ragged.split(qk), ragged.split(v)
        q, k = qk.transpose(1, 2).chunk(2, dim=1)  # [B, H, L, Dh]
        attended = attend(q, k, v.transpose(1, 2), mask).transpose(1, 2).flatten(2)
        out: Tensor = self.output(attended if ragged is None else ragged.join(attended))
        return out


def initialise(module: nn.Module) -> None:
    """Matrices, kernels and embeddings normal with deviation 0.02, biases 0: how these encoders' papers start."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.Embedding):
            nn.init.normal_(part.weight, std=0.02)
            if getattr(part, "bias", None) is not None:
                nn.init.zeros_(part.bias)  # type: ignore[arg-type]


def _scaled(x: Tensor, gate: Tensor | None) -> Tensor:
    return x if gate is None else gate.tanh() * x
