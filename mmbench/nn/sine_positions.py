"""Fixed position embeddings of a grid: sines and cosines of row and column, as in MAE (arXiv 2111.06377)."""

import torch
from torch import Tensor


def sine_positions(rows: int, columns: int, dim: int, device: torch.device | None = None) -> Tensor:
    """float32 ``[rows * columns, dim]``, row by row: the first half of the width says the row, the second the column.

    Raises:
        ValueError: ``dim`` is no multiple of 4.
    """
    if dim % 4:
        raise ValueError(f"a width of {dim} does not hold sines and cosines of rows and columns: give a multiple of 4")
    frequencies = 10000.0 ** -(torch.arange(dim // 4, device=device) / (dim // 4))

    def of(places: int) -> Tensor:
        angles = torch.arange(places, device=device)[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    by_row = of(rows)[:, None].expand(-1, columns, -1)
    by_column = of(columns)[None].expand(rows, -1, -1)
    return torch.cat([by_row, by_column], dim=2).flatten(0, 1)
