"""What the co-attention family adds between the shared parts: two streams, and the blocks in which they meet."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmbench.families.frequent_answers import ImageTokens
from mmbench.nn.co_attention import CoAttentionBlock
from mmbench.nn.pooling import max_over, mean_over
from mmbench.nn.sine_positions import sine_positions


@dataclass
class Met:
    """G texts and their images after the blocks."""

    text: Tensor
    """``[G, L, D]``."""
    image: Tensor
    """``[G, N, D]``."""
    joint: Tensor
    """``[G, 2 D]``: the mean of the text's tokens and the maximum of the image's."""


class CoAttentionStreams(nn.Module):
    """The image's way into its stream, and the blocks. The text's stream is the language model's, as wide as it."""

    def __init__(self, block: CoAttentionBlock.Config, num_blocks: int, image_dim: int) -> None:
        super().__init__()
        self.image_projection = nn.Linear(image_dim, block.width)
        self.image_norm = nn.LayerNorm(block.width)
        self.mask_token = nn.Parameter(torch.randn(image_dim) * 0.02)
        self.blocks = nn.ModuleList(CoAttentionBlock(block) for _ in range(num_blocks))

    def forward(self, text: Tensor, text_mask: Tensor, sight: ImageTokens, hidden: Tensor | None = None) -> Met:
        """Let the streams meet.

        Args:
            text: ``[G, L, D]`` what the language model makes of the texts.
            text_mask: bool ``[G, L]``.
            sight: of G images.
            hidden: bool ``[G, N]``: image tokens that the mask token takes the place of. Where they stand is still
                known, from their position embedding.
        """
        tokens = sight.tokens
        if hidden is not None:
            tokens = torch.where(hidden[..., None], self.mask_token.to(tokens.dtype), tokens)
        projected = self.image_projection(tokens)
        side = math.isqrt(projected.shape[1])  # the tokens are those of a square, row by row
        positions = sine_positions(side, side, projected.shape[-1], projected.device).to(projected.dtype)
        image = self.image_norm(projected + positions)
        for block in self.blocks:
            text, image = block(text, image, text_mask, sight.mask)
        joint = torch.cat([mean_over(text, text_mask), max_over(image, sight.mask)], dim=-1)
        return Met(text, image, joint)
