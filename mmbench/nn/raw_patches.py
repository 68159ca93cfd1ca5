"""No encoder: an image's patches as they are, for language models that read pixels through one linear layer."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmbench.nn.image_encoder import ImageEncoder
from mmbench.nn.native_encoder import Packed


class RawPatches(ImageEncoder):
    """Patches of ``patch_size`` pixels, ``dim = 3 * patch_size**2`` numbers each; there is nothing to train.

    The numbers of a patch stand row by row, pixel by pixel, with the three channels of a pixel together, as in Fuyu
    (https://www.adept.ai/blog/fuyu-8b).
    """

    def __init__(self, patch_size: int) -> None:
        super().__init__(3 * patch_size**2, patch_size, 0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 3, H, W]`` to ``[B, N, dim]``, row by row."""
        batch, side = len(images), self.patch_size
        rows, columns = images.shape[2] // side, images.shape[3] // side
        patches = images.reshape(batch, 3, rows, side, columns, side)
        return patches.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)

    def forward_packed(self, images: Tensor, sizes: Tensor, layer: int | None = None) -> Packed:
        """As `NativeEncoder.forward_packed`, with ``merge`` 1: the patches of all images in one row."""
        side = self.patch_size
        rows, columns = images.shape[2] // side, images.shape[3] // side
        grids = (sizes.to(images.device) + side - 1) // side
        row, column = torch.arange(rows, device=images.device), torch.arange(columns, device=images.device)
        inside = (row[:, None] < grids[:, :1, None]) & (column < grids[:, 1:, None])  # [B, rows, columns]
        return Packed(self(images)[inside.flatten(1)], grids)

    def features(self, images: Tensor, layers: Sequence[int], class_token: bool = False) -> list[Tensor]:
        """See `ImageEncoder.features`: there is no layer but the patches themselves."""
        return [self(images) for _ in self._layer_numbers(layers, 0)]

    def final_norm(self, tokens: Tensor) -> Tensor:
        """See `ImageEncoder.final_norm`: there is none."""
        return tokens
