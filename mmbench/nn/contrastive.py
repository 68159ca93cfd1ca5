"""The contrastive objective: image and text embeddings in one space, told apart within groups of rows."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_SCALE = 100.0
"""The inverse temperature is kept at most this large."""


class ContrastiveHead(nn.Module):
    """Projections to unit length and a symmetric softmax loss with learned temperature (CLIP, arXiv 2103.00020)."""

    def __init__(self, image_dim: int, text_dim: int, embed_dim: int) -> None:
        super().__init__()
        self.image_projection = nn.Linear(image_dim, embed_dim, bias=False)
        self.text_projection = nn.Linear(text_dim, embed_dim, bias=False)
        for projection in (self.image_projection, self.text_projection):
            nn.init.normal_(projection.weight, 0, projection.in_features**-0.5)
        self.log_scale = nn.Parameter(torch.tensor([math.log(1 / 0.07)]))

    def embed_image(self, x: Tensor) -> Tensor:
        """``[B, image_dim]`` to unit vectors ``[B, E]``, float32."""
        return F.normalize(self.image_projection(x).float(), dim=-1)

    def embed_text(self, x: Tensor) -> Tensor:
        """``[B, text_dim]`` to unit vectors ``[B, E]``, float32."""
        return F.normalize(self.text_projection(x).float(), dim=-1)

    def loss(self, image_emb: Tensor, text_emb: Tensor, valid: Tensor, group: int) -> tuple[Tensor, Tensor]:
        """Cross-entropy of finding the own text for each image and the own image for each text, the mean of both.

        Candidates are the valid rows of the same ``group`` consecutive rows, so that neither the micro-batch nor the
        number of processes changes the loss as long as both hold whole groups. A rest at the end is a smaller group.

        Args:
            image_emb: unit vectors ``[B, E]``.
            text_emb: unit vectors ``[B, E]``.
            valid: bool ``[B]``; a row with False has no pair: it has no loss and is no candidate for others.
            group: rows of a group.

        Returns:
            the sum of the losses of the valid rows (float32), and how many those are.
        """
        with torch.autocast(image_emb.device.type, enabled=False):
            rest = -len(valid) % group
            images, texts = (
                F.pad(emb.float(), (0, 0, 0, rest)).view(-1, group, emb.shape[1]) for emb in (image_emb, text_emb)
            )
            in_group = F.pad(valid, (0, rest)).view(-1, group)
            scale = self.log_scale.float().exp().clamp(max=MAX_SCALE)
            scores = scale * images @ texts.transpose(1, 2)  # [groups, image, text]
            # Finite, so that rows of padding give a finite loss, which is then left out.
            lowest = torch.finfo(scores.dtype).min / 2
            find_text = scores.masked_fill(~in_group[:, None, :], lowest).log_softmax(2)
            find_image = scores.masked_fill(~in_group[:, :, None], lowest).log_softmax(1)
            own = (find_text + find_image).diagonal(dim1=1, dim2=2)  # [groups, group]
            return -0.5 * own.masked_fill(~in_group, 0.0).sum(), valid.sum()
