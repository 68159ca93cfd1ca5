"""The C-Abstractor: convolutions, pooling to a fixed number of tokens, convolutions, then an MLP."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmbench.config.errors import UserError
from mmbench.nn.connectors.connector import Connector, Grid
from mmbench.nn.connectors.options import check_positive
from mmbench.nn.feed_forward import FeedForward


class CAbstractorConnector(Connector):
    """Honeybee (arXiv 2312.06742), MM1 (arXiv 2403.09611): keeps what is near together, unlike a resampler.

    Blocks are RegNet's bottlenecks with depthwise convolutions and squeeze-excitation. The learned positions are made
    for the grid given at building, and interpolated for others.
    """

    @dataclass
    class Config(Connector.Config):
        """Options of the C-Abstractor."""

        num_tokens: int = 144
        """Tokens that come out; a square number."""
        depth: int = 3
        """Blocks before the pooling, and as many after it."""
        conv_width: int | None = None
        """Channels of the blocks; the encoder's width if not given."""
        hidden_width: int | None = None
        """Width between the layers of the MLP; the language model's if not given."""
        positions: bool = True
        """Whether a learned position is added to each patch."""

        def __post_init__(self) -> None:
            check_positive(self, "num_tokens", "depth", "conv_width", "hidden_width")
            if math.isqrt(self.num_tokens) ** 2 != self.num_tokens:
                lower = math.isqrt(self.num_tokens)
                raise UserError(
                    f"option 'num_tokens' is {self.num_tokens}, but the tokens are a square grid: "
                    f"give {lower**2} or {(lower + 1) ** 2}"
                )

    def __init__(self, config: Config, in_dim: int, out_dim: int, grid: Grid | None = None) -> None:
        super().__init__(config, in_dim, out_dim, grid)
        self.side = math.isqrt(config.num_tokens)
        channels = config.conv_width or in_dim
        self.positions: nn.Parameter | None = None
        if config.positions:
            if grid is None:
                raise UserError(
                    "connector 'c_abstractor' has learned positions for one grid of patches, but images differ in "
                    "theirs: give its option 'positions: false', or images of one size"
                )
            self.positions = nn.Parameter(torch.randn(1, in_dim, *grid) * 0.02)
        self.before = _stage(config.depth, in_dim, channels)
        self.after = _stage(config.depth, channels, channels)
        self.mlp = FeedForward(channels, config.hidden_width or out_dim, False, "silu", True, out_dim)

    def num_tokens(self, grid: Grid) -> int:
        """As many as the option ``num_tokens`` says.

        Raises:
            UserError: an image has fewer patches in a row or a column.
        """
        if min(grid) < self.side:
            raise UserError(
                f"connector 'c_abstractor' pools to {self.side} x {self.side} tokens, but an image has {grid[0]} x "
                f"{grid[1]} patches: give the connector's 'num_tokens' as {min(grid) ** 2} or less, or larger images"
            )
        return self.side**2

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """``[B, N, in_dim]`` to ``[B, num_tokens, out_dim]``."""
        self.num_tokens(grid)
        x = tokens.transpose(1, 2).reshape(len(tokens), -1, *grid)
        if self.positions is not None:
            x = x + self._positions(grid)
        x = self.after(F.adaptive_avg_pool2d(self.before(x), self.side))
        out: Tensor = self.mlp(x.flatten(2).transpose(1, 2))
        return out

    def _positions(self, grid: Grid) -> Tensor:
        assert self.positions is not None
        if self.positions.shape[2:] == grid:
            return self.positions
        return F.interpolate(self.positions, size=grid, mode="bilinear")


def _stage(depth: int, in_channels: int, out_channels: int) -> nn.Module:
    from timm.layers.norm import LayerNorm2d  # slow to import, and no other connector needs it
    from timm.models.regnet import RegStage

    return RegStage(depth, in_channels, out_channels, 1, 1, act_layer=nn.SiLU, norm_layer=LayerNorm2d)
