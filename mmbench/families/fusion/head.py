"""The classifier at the end: one vector of each stream, and a score for each frequent answer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.families.fusion.streams import Streams
from mmbench.nn.pooling import max_over, mean_over


class AnswerHead(nn.Module):
    """``output(gelu(hidden([image; text])))``: the image by its tokens' maximum, the text by its tokens' mean.

    The maximum, since one small thing in a picture is what most questions ask for, and since that is how the shared
    encoder is pretrained.
    """

    def __init__(self, image_dim: int, text_dim: int, inner_width: int, num_answers: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(image_dim + text_dim, inner_width)
        self.output = nn.Linear(inner_width, num_answers)

    def forward(self, streams: Streams) -> Tensor:
        """Scores ``[G, C]`` of the answers."""
        image = max_over(streams.image, streams.image_mask)
        text = mean_over(streams.text, streams.text_mask)
        scores: Tensor = self.output(F.gelu(self.hidden(torch.cat([image, text.to(image.dtype)], dim=-1))))
        return scores
