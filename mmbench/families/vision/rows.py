"""The tokens of several views of an image one behind the other, and those of several images under one another."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Row:
    """What stands in one row for each of B images, padded at the end."""

    values: Tensor
    """``[B, N, ...]``, 0 where it is padding."""
    mask: Tensor | None
    """bool ``[B, N]``, False where it is padding; None: nothing is."""
    columns: list[Tensor]
    """int64 ``[V, M]`` for each piece: where in its image's row it stands."""


def in_rows(pieces: Sequence[Tensor], images: Sequence[list[int]], num_images: int) -> Row:
    """Put pieces into their images' rows, one after another in the order in which they are given.

    Args:
        pieces: ``[V, M, ...]`` each, of V views.
        images: which image each view of each piece belongs to.
        num_images: ``B``.
    """
    filled = [0] * num_images
    starts: list[list[int]] = []
    for piece, owners in zip(pieces, images, strict=True):
        starts.append([])
        for image in owners:
            starts[-1].append(filled[image])
            filled[image] += piece.shape[1]
    longest, device = max(filled), pieces[0].device
    columns = [
        torch.tensor(start, device=device)[:, None] + torch.arange(piece.shape[1], device=device)
        for start, piece in zip(starts, pieces, strict=True)
    ]
    mask = None
    if min(filled) < longest:
        mask = torch.arange(longest, device=device) < torch.tensor(filled, device=device)[:, None]
    if len(pieces) == 1 and mask is None and images[0] == sorted(images[0]):
        return Row(pieces[0].reshape(num_images, longest, *pieces[0].shape[2:]), mask, columns)
    values = pieces[0].new_zeros(num_images, longest, *pieces[0].shape[2:])
    for piece, owners, column in zip(pieces, images, columns, strict=True):
        values = values.index_put((torch.tensor(owners, device=device)[:, None], column), piece)
    return Row(values, mask, columns)
