"""What every connector is: a module that says how many tokens it makes of a grid of patches."""

from dataclasses import dataclass

from torch import Tensor, nn

Grid = tuple[int, int]
"""Rows and columns of the patches of an image or a tile."""


class Connector(nn.Module):
    """``[B, N, in_dim]`` to ``[B, M, out_dim]``.

    A subclass has a ``Config`` with its options, makes its layers of ``(config, in_dim, out_dim, grid)``, and defines
    `num_tokens` (where that is not the number of patches) and ``forward``.
    """

    @dataclass
    class Config:
        """Options of the kind; read from a system's ``connector_options``."""

    def __init__(self, config: Config, in_dim: int, out_dim: int, grid: Grid | None = None) -> None:
        """Make the layers.

        Args:
            config: the options.
            in_dim: width of the encoder's tokens, or of several layers' outputs joined.
            out_dim: width of the language model.
            grid: of the images that are to come, where it is always the same; what depends on it is made for it.

        Raises:
            UserError: an option does not fit the widths.
        """
        super().__init__()
        self.in_dim, self.out_dim = in_dim, out_dim

    def num_tokens(self, grid: Grid) -> int:
        """How many tokens an image with this grid of patches becomes.

        Raises:
            UserError: the connector cannot take such a grid; says what to change.
        """
        return grid[0] * grid[1]

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Connect.

        Args:
            tokens: of images with one grid, row by row ``[B, rows * columns, in_dim]``.
            grid: rows and columns.

        Returns:
            ``[B, num_tokens(grid), out_dim]``

        Raises:
            UserError: the connector cannot take such a grid.
        """
        raise NotImplementedError(f"{type(self).__name__} must say how tokens are connected")
