"""Two streams of tokens, one of an image and one of a text, on their way to being one."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Streams:
    """The tokens of G images and of the G texts read with them.

    A modality that is withheld has no real token: nothing reads what stands where a mask is False.
    """

    image: Tensor
    """``[G, N, D_image]``."""
    image_mask: Tensor
    """bool ``[G, N]``, True where a token is real."""
    text: Tensor
    """``[G, L, D_text]``."""
    text_mask: Tensor
    """bool ``[G, L]``, True where a token is real."""

    def joined(self) -> tuple[Tensor, Tensor]:
        """Both as one sequence ``[G, N + L, D]``, the image first, and its mask; both streams have one width here."""
        return torch.cat([self.image, self.text], dim=1), torch.cat([self.image_mask, self.text_mask], dim=1)

    def parted(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """The image's and the text's part of what was made of the joined sequence."""
        num_image = self.image.shape[1]
        return sequence[:, :num_image], sequence[:, num_image:]

    def replaced(self, image: Tensor, text: Tensor) -> "Streams":
        """Other tokens at the same places."""
        return Streams(image, self.image_mask, text, self.text_mask)
