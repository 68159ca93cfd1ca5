"""Captions that do not belong to an image: the negative examples of image-text matching."""

import torch
from torch import Tensor

from mmbench.nn.row_draws import RowDraws


def draw_rivals(
    texts: Tensor, valid: Tensor, group: int, draws: RowDraws, similarity: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """For each row another row of its group whose caption reads otherwise, drawn at random.

    Args:
        texts: int64 ``[B, L]``, the captions' padded ids.
        valid: bool ``[B]``: rows with a caption and an image.
        group: rows of a group, as in the contrastive loss: candidates do not depend on the micro-batch.
        draws: of the B rows.
        similarity: ``[B, B]`` of images (rows) to captions: a caption is then drawn the oftener the more similar it is,
            with the softmax as probability (hard negatives, ALBEF, arXiv 2107.07651). None: all alike.

    Returns:
        int64 ``[B]`` the row drawn, and bool ``[B]`` whether there was one; where not, the number means nothing.
    """
    rows = torch.arange(len(valid), device=valid.device)
    together = rows[:, None] // group == rows // group
    other = (texts[:, None] != texts).any(dim=-1)
    allowed = together & other & valid[:, None] & valid
    # The highest score plus Gumbel noise is a draw from the scores' softmax.
    noise = -(-draws.uniform(group).clamp(min=1e-7).log()).log()  # [B, group]
    scores = noise[:, rows % group] + (0.0 if similarity is None else similarity.detach().float())
    return scores.masked_fill(~allowed, -torch.inf).argmax(dim=1), allowed.any(dim=1)
