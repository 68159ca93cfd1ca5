"""Rotary positions in the plane, for image encoders that take any resolution."""

from typing import Literal

import torch
from torch import Tensor

Frequencies = Literal["shared", "staggered"]
"""``shared``: rows and columns turn with the same frequencies (Qwen2-VL, arXiv 2409.12191); ``staggered``: of one
series of frequencies, rows have the first, third, fifth … and columns those in between (Pixtral, arXiv 2410.07073)."""


def rotary_tables_2d(
    positions: Tensor, head_dim: int, theta: float, frequencies: Frequencies, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``[N, 1, Dh / 2]`` for the rows and columns ``[N, 2]`` of patches, for `rotary.rotate`.

    The first quarter of a head's dimensions turns with the row, the second with the column, each with its partner in
    the other half. Angles in float32, whatever ``dtype``: they grow with the position and would lose their fraction.
    """
    exponents = torch.arange(0, head_dim, 4, device=positions.device, dtype=torch.float32) / head_dim
    shift = 2 / head_dim if frequencies == "staggered" else 0.0
    of_rows, of_columns = theta**-exponents, theta ** -(exponents + shift)
    rows, columns = positions.float()[:, :, None].unbind(1)
    angles = torch.cat((rows * of_rows, columns * of_columns), -1)[:, None]
    return angles.cos().to(dtype), angles.sin().to(dtype)
