"""Square windows of neighbouring patches, which some connectors make one token of."""

from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.nn.connectors.connector import Grid


def num_windows(grid: Grid, side: int, kind: str, option: str) -> int:
    """Windows of ``side x side`` patches in a grid.

    Args:
        grid: rows and columns.
        side: of a window, in patches.
        kind: of the connector, for the error.
        option: its option that says the side, for the error.

    Raises:
        UserError: the grid does not divide into windows.
    """
    rows, columns = grid
    if rows % side or columns % side:
        raise UserError(
            f"connector '{kind}' joins {side} x {side} patches, but an image has {rows} x {columns}: make the image's "
            f"sides multiples of {side} patches, or change the connector's '{option}'"
        )
    return (rows // side) * (columns // side)


def windows(tokens: Tensor, grid: Grid, side: int) -> Tensor:
    """Patches row by row ``[B, rows * columns, D]`` to windows row by row ``[B, W, side * side, D]``."""
    batch, _, dim = tokens.shape
    rows, columns = grid[0] // side, grid[1] // side
    split = tokens.view(batch, rows, side, columns, side, dim)
    return split.transpose(2, 3).reshape(batch, rows * columns, side * side, dim)
