"""A split as the scoring sees it: examples with their images, in a fixed order."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mmbench.data.example import Example
from mmbench.data.images import Pixels, picture


class EvaluationSplit:
    """Examples whose images could all be read.

    Args:
        name: the split.
        examples: M examples.
        pixels: uint8 [N, 3, S, S], N >= M.
        sizes: int64 [N, 2] height and width of the pictures in them.
        rows: int64 [M] the row of ``pixels`` of each example.
    """

    def __init__(
        self, name: str, examples: list[Example], pixels: Pixels, sizes: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> None:
        self.name = name
        self.examples = examples
        self._pixels = pixels
        self.picture_sizes = sizes
        self.rows = rows

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def pixels_file(self) -> str:
        """The file of the memory map."""
        return str(getattr(self._pixels, "filename", ""))

    def images(self, indices: Sequence[int] | NDArray[np.int64] | Tensor) -> Tensor:
        """uint8 [n, 3, S, S] of the examples with these indices."""
        return torch.from_numpy(self.pixels(np.asarray(indices, dtype=np.int64)))

    def sizes(self, indices: Sequence[int] | NDArray[np.int64] | Tensor) -> Tensor:
        """int64 [n, 2] height and width of these examples' pictures within their canvas."""
        return torch.from_numpy(self.picture_sizes[self.rows[np.asarray(indices, dtype=np.int64)]])

    def pixels(self, indices: NDArray[np.int64]) -> Pixels:
        """As `images`, in NumPy; a copy."""
        return np.asarray(self._pixels[self.rows[indices]])

    def picture(self, index: int, side: int) -> Image.Image:
        """The image of one example for people: from its file (or drawn anew), at most ``side`` pixels a side."""
        return picture(self.examples[index].image, side)
