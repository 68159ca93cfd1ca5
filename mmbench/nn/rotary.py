"""Rotary positions (arXiv 2104.09864): how far each pair of a head's dimensions turns, and the turning."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mmbench.config.errors import UserError

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines, as `rotate` takes them."""


@dataclass
class RopeScaling:
    """Slower turning, for contexts longer than those a model was first trained on.

    Raises:
        UserError: the factors do not make sense.
    """

    kind: Literal["linear", "llama3"] = "linear"
    """``linear``: all frequencies are divided (arXiv 2306.15595); ``llama3``: only the low ones, those between are
    blended (Llama 3.1, arXiv 2407.21783)."""
    factor: float = 1.0
    """What the frequencies are divided by."""
    low_frequency_factor: float = 1.0
    """llama3: frequencies that turn less often than this over the original context are divided."""
    high_frequency_factor: float = 4.0
    """llama3: frequencies that turn more often than this over the original context stay as they are."""
    original_max_positions: int = 8192
    """llama3: the original context in tokens."""

    def __post_init__(self) -> None:
        if self.factor <= 0 or (self.kind == "llama3" and self.low_frequency_factor >= self.high_frequency_factor):
            raise UserError(
                f"rope scaling has factor {self.factor} and frequency factors {self.low_frequency_factor} to "
                f"{self.high_frequency_factor}: the first must be positive, and the second less than the third"
            )


def rotary_tables(
    positions: Tensor,
    rotary_dim: int,
    theta: float,
    dtype: torch.dtype,
    scaling: RopeScaling | None = None,
    sections: Sequence[int] | None = None,
) -> Rotation:
    """Cosines and sines ``[B, L, 1, rotary_dim / 2]`` for positions ``[B, L]``, or ``[B, L, 3]`` of an image's tokens.

    Angles in float32, whatever ``dtype``: they grow with the position and would lose their fraction.

    Args:
        positions: int; with three columns (time, height, width), ``sections`` says which frequencies turn with which
            (M-RoPE, arXiv 2409.12191). Where the three are equal this is the same as one.
        rotary_dim: dimensions of a head that turn.
        theta: base of the frequencies.
        dtype: of the tables.
        scaling: of the frequencies.
        sections: how many frequencies turn with time, with height and with width.

    Raises:
        ValueError: there are three columns, but no sections.
    """
    frequencies = rotary_frequencies(rotary_dim, theta, scaling, positions.device)
    if positions.dim() == 2:
        angles = positions[:, :, None, None].float() * frequencies
    elif sections is None:
        raise ValueError(
            f"positions have the shape {tuple(positions.shape)}, but the decoder has no mrope_sections: "
            "give positions [B, L], or a decoder with sections"
        )
    else:
        columns = [column for column, size in enumerate(sections) for _ in range(size)]
        angles = (positions[:, :, columns].float() * frequencies)[:, :, None]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def mrope_sections(rotary_dim: int) -> list[int]:
    """How many of a head's frequencies turn with time, height and width: a quarter, and half of the rest each.

    Those of Qwen2-VL (arXiv 2409.12191) for heads of 128, and the same shares for others.
    """
    num = rotary_dim // 2
    time, height = num // 4, (num - num // 4) // 2
    return [time, height, num - time - height]


def rotary_frequencies(
    rotary_dim: int, theta: float, scaling: RopeScaling | None = None, device: torch.device | None = None
) -> Tensor:
    """Angle per position of each pair of dimensions, float32 ``[rotary_dim / 2]``."""
    exponents = torch.arange(0, rotary_dim, 2, device=device, dtype=torch.float32) / rotary_dim
    frequencies: Tensor = theta**-exponents
    if scaling is None:
        return frequencies
    if scaling.kind == "linear":
        return frequencies / scaling.factor
    turns = frequencies * (scaling.original_max_positions / (2 * math.pi))  # over the original context
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    kept = ((turns - low) / (high - low)).clamp(0, 1)  # 1: as it is, 0: divided
    return frequencies * (kept + (1 - kept) / scaling.factor)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn heads ``[B, L, H, Dh]`` by their position.

    Of the ``R`` dimensions that turn, ``i`` pairs with ``i + R / 2``, as at Hugging Face; those after them pass.

    Args:
        x: the heads.
        rotation: cosines and sines ``[B or 1, L, 1, R / 2]``.
    """
    cos, sin = rotation
    half = cos.shape[-1]
    if 2 * half == x.shape[-1]:
        first, second = x.chunk(2, -1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)
    first, second, passing = torch.split(x, [half, half, x.shape[-1] - 2 * half], -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin, passing), -1)
