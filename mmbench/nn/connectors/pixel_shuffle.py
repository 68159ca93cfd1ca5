"""Fewer tokens without losing any: neighbouring patches are joined along the width, then an MLP."""

from dataclasses import dataclass

from torch import Tensor, nn

from mmbench.nn.connectors.connector import Connector, Grid
from mmbench.nn.connectors.options import check_positive
from mmbench.nn.connectors.windows import num_windows, windows
from mmbench.nn.feed_forward import FeedForward


class PixelShuffleConnector(Connector):
    """1024 tokens of a tile become 256 (NVLM, arXiv 2409.11402), here with the norm of InternVL (arXiv 2404.16821)."""

    @dataclass
    class Config(Connector.Config):
        """Options of pixel shuffle."""

        factor: int = 2
        """So many rows and as many columns of patches become one token."""
        hidden_width: int | None = None
        """Width between the layers of the MLP; the language model's if not given."""
        norm: bool = True
        """Whether a LayerNorm stands before the MLP."""

        def __post_init__(self) -> None:
            check_positive(self, "factor", "hidden_width")

    def __init__(self, config: Config, in_dim: int, out_dim: int, grid: Grid | None = None) -> None:
        super().__init__(config, in_dim, out_dim, grid)
        self.factor = config.factor
        joined = in_dim * config.factor**2
        self.norm = nn.LayerNorm(joined) if config.norm else nn.Identity()
        self.mlp = FeedForward(joined, config.hidden_width or out_dim, False, "gelu", True, out_dim)

    def num_tokens(self, grid: Grid) -> int:
        """One for each window."""
        return num_windows(grid, self.factor, "pixel_shuffle", "factor")

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """``[B, N, in_dim]`` to ``[B, N / factor ** 2, out_dim]``."""
        self.num_tokens(grid)
        out: Tensor = self.mlp(self.norm(windows(tokens, grid, self.factor).flatten(2)))
        return out
