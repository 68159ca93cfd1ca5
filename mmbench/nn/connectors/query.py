"""Aria's projector: learned queries attend to the patches once; larger images have more queries."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmbench.config.errors import UserError
from mmbench.nn.attention import attend
from mmbench.nn.connectors.connector import Connector, Grid
from mmbench.nn.connectors.options import check_positive, width_of_head
from mmbench.nn.feed_forward import FeedForward


class QueryConnector(Connector):
    """One cross-attention, a LayerNorm and an MLP without biases (Aria, arXiv 2410.05993)."""

    @dataclass
    class Config(Connector.Config):
        """Options of the query connector."""

        num_queries: int = 128
        """Tokens that come out, where ``queries`` says nothing else."""
        queries: dict[int, int] = field(default_factory=dict)
        """Number of patches -> how many of the queries look at them; empty: ``num_queries``, whatever the number."""
        num_heads: int = 8
        """Heads of the attention; a divisor of the encoder's width."""
        hidden_width: int | None = None
        """Inner width of the MLP; the language model's if not given."""

        def __post_init__(self) -> None:
            check_positive(self, "num_queries", "num_heads", "hidden_width")
            for patches, queries in self.queries.items():
                if min(patches, queries) < 1:
                    raise UserError(f"option 'queries' has {patches}: {queries}; both must be at least 1")

    def __init__(self, config: Config, in_dim: int, out_dim: int, grid: Grid | None = None) -> None:
        super().__init__(config, in_dim, out_dim, grid)
        self.by_patches = config.queries
        self.num_heads = config.num_heads
        width_of_head(in_dim, config.num_heads, None, "the encoder's width")
        self.queries = nn.Parameter(torch.randn(max([*config.queries.values()] or [config.num_queries]), in_dim) * 0.02)
        self.query_norm = nn.LayerNorm(in_dim)
        self.context_norm = nn.LayerNorm(in_dim)
        # Two matrices in a row before the heads, and two after them, as Aria's weights have it.
        self.query = nn.Linear(in_dim, in_dim, bias=False)
        self.key_value = nn.Linear(in_dim, 2 * in_dim, bias=False)
        self.heads = nn.Linear(in_dim, 3 * in_dim)
        self.joined_heads = nn.Linear(in_dim, in_dim)
        self.output = nn.Linear(in_dim, in_dim)
        self.norm = nn.LayerNorm(in_dim)
        self.mlp = FeedForward(in_dim, config.hidden_width or out_dim, False, "gelu_tanh", out_width=out_dim)

    def num_tokens(self, grid: Grid) -> int:
        """As many as queries for so many patches.

        Raises:
            UserError: ``queries`` does not say how many these are.
        """
        num_patches = grid[0] * grid[1]
        if not self.by_patches:
            return len(self.queries)
        if num_patches not in self.by_patches:
            known = ", ".join(map(str, sorted(self.by_patches)))
            raise UserError(
                f"connector 'query' has queries for {known} patches, but an image has {grid[0]} x {grid[1]} = "
                f"{num_patches}: add {num_patches} to the connector's 'queries', or leave that option out"
            )
        return self.by_patches[num_patches]

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """``[B, N, in_dim]`` to ``[B, num_tokens(grid), out_dim]``."""
        batch, num_tokens = len(tokens), self.num_tokens(grid)
        keys, values = self.key_value(self.context_norm(tokens)).chunk(2, -1)
        queries = self.query(self.query_norm(self.queries[:num_tokens]))[None]
        q, k, v = (self._heads(x, part) for part, x in enumerate((queries, keys, values)))
        attended = attend(q.expand(batch, -1, -1, -1), k, v).transpose(1, 2).flatten(2)
        out: Tensor = self.mlp(self.norm(self.output(self.joined_heads(attended))))
        return out

    def _heads(self, x: Tensor, part: int) -> Tensor:
        """``[B, L, D]`` to the heads ``[B, H, L, D / H]`` of queries (part 0), keys (1) or values (2)."""
        heads = F.linear(x, self.heads.weight.chunk(3)[part], self.heads.bias.chunk(3)[part])
        return heads.view(*heads.shape[:2], self.num_heads, -1).transpose(1, 2)
