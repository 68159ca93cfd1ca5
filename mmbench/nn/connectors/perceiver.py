"""The Perceiver resampler: learned latents look at any number of patches and become a fixed number of tokens."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmbench.nn.attention import attend
from mmbench.nn.connectors.connector import Connector, Grid
from mmbench.nn.connectors.options import check_positive, width_of_head
from mmbench.nn.feed_forward import Activation, FeedForward


class PerceiverConnector(Connector):
    """Flamingo's (arXiv 2204.14198): in each layer the latents attend to the patches and to themselves.

    It works in the encoder's width; where the language model has another, a linear layer follows. Flamingo's gated
    layers take tokens of the encoder's width, so that there is none.
    """

    @dataclass
    class Config(Connector.Config):
        """Options of the resampler."""

        num_latents: int = 64
        """Tokens that come out."""
        depth: int = 6
        """Layers, each an attention and a feed-forward."""
        num_heads: int = 8
        """Heads of each attention."""
        head_dim: int | None = None
        """Width of a head; the encoder's width by ``num_heads`` if not given."""
        hidden_width: int | None = None
        """Inner width of the feed-forward; four times the encoder's if not given."""
        activation: Activation = "relu2"
        """That of the feed-forward."""
        qk_norm: bool = False
        """Whether queries and keys of each head are normed."""

        def __post_init__(self) -> None:
            check_positive(self, "num_latents", "depth", "num_heads", "head_dim", "hidden_width")

    def __init__(self, config: Config, in_dim: int, out_dim: int, grid: Grid | None = None) -> None:
        super().__init__(config, in_dim, out_dim, grid)
        self.latents = nn.Parameter(torch.randn(config.num_latents, in_dim) * 0.02)
        self.layers = nn.ModuleList(PerceiverLayer(config, in_dim) for _ in range(config.depth))
        self.norm = nn.LayerNorm(in_dim)
        self.projection = nn.Identity() if out_dim == in_dim else nn.Linear(in_dim, out_dim)

    def num_tokens(self, grid: Grid) -> int:
        """As many as there are latents, whatever the grid."""
        return len(self.latents)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """``[B, N, in_dim]`` to ``[B, num_latents, out_dim]``."""
        latents = self.latents.expand(len(tokens), -1, -1)
        for layer in self.layers:
            latents = layer(latents, tokens)
        out: Tensor = self.projection(self.norm(latents))
        return out


class PerceiverLayer(nn.Module):
    """``x + attention(norm(x), [norm(patches); norm(x)])``, then ``x + feed_forward(norm(x))``."""

    def __init__(self, config: PerceiverConnector.Config, dim: int) -> None:
        super().__init__()
        self.head_dim = width_of_head(dim, config.num_heads, config.head_dim, "the encoder's width")
        inner_dim = config.num_heads * self.head_dim
        self.context_norm = nn.LayerNorm(dim)
        self.latent_norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, inner_dim, bias=False)
        self.key_value = nn.Linear(dim, 2 * inner_dim, bias=False)
        self.query_norm = nn.LayerNorm(self.head_dim) if config.qk_norm else nn.Identity()
        self.key_norm = nn.LayerNorm(self.head_dim) if config.qk_norm else nn.Identity()
        self.output = nn.Linear(inner_dim, dim, bias=False)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, config.hidden_width or 4 * dim, False, config.activation)

    def forward(self, latents: Tensor, tokens: Tensor) -> Tensor:
        """Latents ``[B, M, D]`` and patches ``[B, N, D]`` to latents ``[B, M, D]``."""
        batch, num_latents, _ = latents.shape
        normed = self.latent_norm(latents)
        seen = torch.cat((self.context_norm(tokens), normed), 1)  # [B, N + M, D]
        q = self.query(normed).view(batch, num_latents, -1, self.head_dim).transpose(1, 2)
        k, v = self.key_value(seen).view(batch, seen.shape[1], 2, -1, self.head_dim).permute(2, 0, 3, 1, 4)
        attended = attend(self.query_norm(q), self.key_norm(k), v)
        latents = latents + self.output(attended.transpose(1, 2).reshape(batch, num_latents, -1))
        out: Tensor = latents + self.feed_forward(self.feed_forward_norm(latents))
        return out
