"""Qwen2-VL's merger: the patches of a neighbourhood become one token."""

from dataclasses import dataclass

from torch import Tensor, nn

from mmbench.nn.connectors.connector import Connector, Grid
from mmbench.nn.connectors.options import check_positive
from mmbench.nn.connectors.windows import num_windows, windows
from mmbench.nn.feed_forward import FeedForward


class MergeConnector(Connector):
    """Each patch is normed, 2 x 2 neighbours are joined, then two layers (arXiv 2409.12191)."""

    @dataclass
    class Config(Connector.Config):
        """Options of the merger."""

        factor: int = 2
        """So many rows and as many columns of patches become one token."""
        hidden_width: int | None = None
        """Width between the layers; that of the joined patches if not given."""

        def __post_init__(self) -> None:
            check_positive(self, "factor", "hidden_width")

    def __init__(self, config: Config, in_dim: int, out_dim: int, grid: Grid | None = None) -> None:
        super().__init__(config, in_dim, out_dim, grid)
        self.factor = config.factor
        joined = in_dim * config.factor**2
        self.norm = nn.LayerNorm(in_dim, eps=1e-6)
        self.mlp = FeedForward(joined, config.hidden_width or joined, False, "gelu", True, out_dim)

    def num_tokens(self, grid: Grid) -> int:
        """One for each neighbourhood."""
        return num_windows(grid, self.factor, "merge", "factor")

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """``[B, N, in_dim]``, row by row, to ``[B, N / factor ** 2, out_dim]``."""
        self.num_tokens(grid)
        return self.merge(windows(tokens, grid, self.factor).flatten(1, 2))

    def merge(self, tokens: Tensor) -> Tensor:
        """Patches ``[..., N, in_dim]`` of any images, the neighbours of each token next to one another.

        So a native encoder gives them, packed.

        Returns:
            ``[..., N / factor ** 2, out_dim]``
        """
        neighbours = self.norm(tokens).unflatten(-2, (-1, self.factor**2))
        out: Tensor = self.mlp(neighbours.flatten(-2))
        return out
