"""The contrastive objectives: image and text embeddings in one space, told apart within groups of rows."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_SCALE = 100.0
"""The softmax loss keeps its inverse temperature at most this large."""


class ContrastiveHead(nn.Module):
    """Projections to unit length and a symmetric softmax loss with learned temperature (CLIP, arXiv 2103.00020)."""

    def __init__(self, image_dim: int, text_dim: int, embed_dim: int) -> None:
        super().__init__()
        self.image_projection: nn.Module = nn.Linear(image_dim, embed_dim, bias=False)
        self.text_projection: nn.Module = nn.Linear(text_dim, embed_dim, bias=False)
        for projection in (self.image_projection, self.text_projection):
            nn.init.normal_(projection.weight, 0, projection.in_features**-0.5)
        self.log_scale = nn.Parameter(torch.tensor([math.log(1 / 0.07)]))

    def embed_image(self, x: Tensor) -> Tensor:
        """``[B, image_dim]`` to unit vectors ``[B, E]``, float32."""
        return F.normalize(self.image_projection(x).float(), dim=-1)

    def embed_text(self, x: Tensor) -> Tensor:
        """``[B, text_dim]`` to unit vectors ``[B, E]``, float32."""
        return F.normalize(self.text_projection(x).float(), dim=-1)

    def similarity(self, image_emb: Tensor, text_emb: Tensor) -> Tensor:
        """Unit vectors ``[..., I, E]`` and ``[..., T, E]`` to the scaled cosines ``[..., I, T]`` the loss reads."""
        scale = self.log_scale.float().exp().clamp(max=MAX_SCALE)
        return scale * image_emb @ text_emb.transpose(-1, -2)

    def loss(self, image_emb: Tensor, text_emb: Tensor, valid: Tensor, group: int) -> tuple[Tensor, Tensor]:
        """The summed loss of telling each image's own text from the others, and each text's own image.

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
            return self._summed(self.similarity(images, texts), in_group), valid.sum()

    def _summed(self, scores: Tensor, valid: Tensor) -> Tensor:
        """Cross-entropy of finding the own text for each image and the own image for each text, the mean of both.

        Args:
            scores: ``[groups, image, text]``.
            valid: bool ``[groups, group]``.
        """
        # Finite, so that rows of padding give a finite loss, which is then left out.
        lowest = torch.finfo(scores.dtype).min / 2
        find_text = scores.masked_fill(~valid[:, None, :], lowest).log_softmax(2)
        find_image = scores.masked_fill(~valid[:, :, None], lowest).log_softmax(1)
        own = (find_text + find_image).diagonal(dim1=1, dim2=2)  # [groups, group]
        return -0.5 * own.masked_fill(~valid, 0.0).sum()


class SigmoidHead(ContrastiveHead):
    """Each pair of an image and a text is judged by itself: own or not (SigLIP, arXiv 2303.15343).

    As published, the text's projection has a bias, the scale starts at 10 and the pairs' bias at -10, so that at the
    start most pairs are taken for what most are: not own.

    Args:
        image_dim: width of what is pooled from the image.
        text_dim: width of what is read from the text.
        embed_dim: width of the common space.
        project_image: False: what is pooled is in the common space already, as with SigLIP's attention pooling.

    Raises:
        ValueError: an image that is not projected has another width than the common space.
    """

    def __init__(self, image_dim: int, text_dim: int, embed_dim: int, project_image: bool = True) -> None:
        super().__init__(image_dim, text_dim, embed_dim)
        if not project_image:
            if image_dim != embed_dim:
                raise ValueError(f"an image of width {image_dim} needs a projection to a space of width {embed_dim}")
            self.image_projection = nn.Identity()
        self.text_projection = nn.Linear(text_dim, embed_dim)
        nn.init.normal_(self.text_projection.weight, 0, text_dim**-0.5)
        nn.init.zeros_(self.text_projection.bias)
        self.log_scale = nn.Parameter(torch.tensor([math.log(10.0)]))
        self.bias = nn.Parameter(torch.tensor([-10.0]))

    def similarity(self, image_emb: Tensor, text_emb: Tensor) -> Tensor:
        """Unit vectors ``[..., I, E]`` and ``[..., T, E]`` to log-odds ``[..., I, T]`` of belonging together."""
        return self.log_scale.float().exp() * image_emb @ text_emb.transpose(-1, -2) + self.bias.float()

    def _summed(self, scores: Tensor, valid: Tensor) -> Tensor:
        """Binary cross-entropy of all pairs of valid rows of a group."""
        own = torch.eye(scores.shape[1], device=scores.device)
        pairs = F.logsigmoid((2 * own - 1) * scores)
        return -pairs.masked_fill(~(valid[:, :, None] & valid[:, None, :]), 0.0).sum()
