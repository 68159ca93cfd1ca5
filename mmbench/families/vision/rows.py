"""The tokens of several views of an image one behind the other, and those of several images under one another."""

import functools
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
    device = pieces[0].device
    num_views, length = pieces[0].shape[:2]
    even = num_views % num_images == 0 and images[0] == [view * num_images // num_views for view in range(num_views)]
    if len(pieces) == 1 and even:
        # As many views of each image, in order: nothing has to be moved.
        shape = num_images, num_views // num_images * length
        columns = torch.arange(shape[1], device=device).view(-1, length).repeat(num_images, 1)
        return Row(pieces[0].reshape(*shape, *pieces[0].shape[2:]), None, [columns])
    filled = [0] * num_images
    places: list[Tensor] = []
    for piece, owners in zip(pieces, images, strict=True):
        starts = []
        for image in owners:
            starts.append(filled[image])
            filled[image] += piece.shape[1]
        places.append(torch.tensor(starts, device=device)[:, None] + torch.arange(piece.shape[1], device=device))
    longest = max(filled)
    # Under autocast what was projected is narrower than what was looked up in a table.
    dtype = functools.reduce(torch.promote_types, (piece.dtype for piece in pieces))
    values = pieces[0].new_zeros(num_images, longest, *pieces[0].shape[2:], dtype=dtype)
    for piece, owners, columns in zip(pieces, images, places, strict=True):
        values = values.index_put((torch.tensor(owners, device=device)[:, None], columns), piece.to(dtype))
    mask = None
    if min(filled) < longest:
        mask = torch.arange(longest, device=device) < torch.tensor(filled, device=device)[:, None]
    return Row(values, mask, places)
