"""Pictures of several sizes in one batch, and an encoder of raw patches, whose tokens can be read by eye."""

import torch
from torch import Tensor

from mmbench.nn.raw_patches import RawPatches

SIDE = 48
SIZES = torch.tensor([[48, 48], [24, 48], [48, 12], [24, 24]])
"""Height and width: a square, a wide, a high and a small picture."""


def pictures() -> Tensor:
    """uint8 ``[4, 3, 48, 48]``: noise inside `SIZES`, black outside."""
    canvas = torch.randint(1, 256, (4, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for picture, (height, width) in zip(canvas, SIZES.tolist(), strict=True):
        picture[:, height:] = 0
        picture[:, :, width:] = 0
    return canvas


def patches() -> RawPatches:
    """Patches of 12 pixels: 4 x 4 of a whole picture."""
    return RawPatches(12)
