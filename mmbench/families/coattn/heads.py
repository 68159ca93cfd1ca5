"""What is predicted from the streams: one head for each objective that is on."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.nn.contrastive import ContrastiveHead


class CoAttentionHeads(nn.Module):
    """The heads; None for an objective that is off, so that nothing untrained is ever read.

    Args:
        on: the objectives that are on.
        width: of the streams, which is the language model's.
        image_dim: width of the encoder's tokens.
        embed_dim: width of the retrieval space.
        num_answers: how many frequent answers there are.
    """

    def __init__(self, on: set[str], width: int, image_dim: int, embed_dim: int, num_answers: int) -> None:
        super().__init__()
        self.contrastive = ContrastiveHead(image_dim, width, embed_dim) if "contrastive" in on else None
        self.match = JointHead(width, 1) if "match" in on else None
        self.classify = JointHead(width, num_answers) if "classify" in on else None
        self.masked_text = MaskedTextHead(width) if "masked_text" in on else None
        self.masked_image = nn.Linear(width, image_dim) if "masked_image" in on else None


class JointHead(nn.Module):
    """A layer of its own over both streams' pooled vectors, and scores."""

    def __init__(self, width: int, num_scores: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * width, 2 * width)
        self.norm = nn.LayerNorm(2 * width)
        self.output = nn.Linear(2 * width, num_scores)

    def forward(self, joint: Tensor) -> Tensor:
        """``[G, 2 D]`` to scores ``[G, num_scores]``, float32."""
        scores: Tensor = self.output(self.norm(F.gelu(self.hidden(joint))))
        return scores.float()


class MaskedTextHead(nn.Module):
    """BERT's layer before the vocabulary, and what stands in the place of a masked token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)
        self.hidden = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, text: Tensor) -> Tensor:
        """Tokens ``[n, D]`` to what the language model's vocabulary projection reads ``[n, D]``."""
        out: Tensor = self.norm(F.gelu(self.hidden(text)))
        return out
