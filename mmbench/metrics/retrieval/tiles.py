"""Counting candidates above and beside each positive, in tiles of the score matrix that are never kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

IMAGE_TILE = 1024
CAPTION_TILE = 1024
_GROUP = 128  # rows whose hits are added up as bytes, which is many times as fast as wider integers

Tile = tuple[slice, slice, Tensor]
"""rows (images), columns (captions), scores [rows, columns]"""
ScoreTile = Callable[[slice, slice], Tensor]
Progress = Callable[[int, int], None]
"""told how many of how many images have been compared"""


@dataclass
class Counts:
    """For C captions as queries and I images as queries."""

    caption_above: Tensor
    """int64 [C] images that score above the caption's own"""
    caption_tied: Tensor
    """int64 [C] other images with the score of its own"""
    image_above: Tensor
    """int64 [I] captions that score above the best of the image's own"""
    image_equal: Tensor
    """int64 [I] captions with the score of the best own one, itself included"""
    image_best: Tensor
    """int64 [I] own captions among them"""


def count_ranks(scores: ScoreTile, caption_image: Tensor, num_images: int, progress: Progress | None = None) -> Counts:
    """Counts for the captions, sorted by their image, against all images, and the reverse.

    A positive's score is read from a tile of the same shape and from the same operands as the tile it is compared
    in, so that equal things are equal to the last bit; a sum of products by another route is not.

    Args:
        scores: gives the scores of some images (rows) with some captions (columns); the same slices give the same bits.
        caption_image: int64 [C] image of each caption, ascending, on the device of the scores.
        num_images: I.
        progress: called after each row of tiles.
    """
    num_captions = len(caption_image)
    device = caption_image.device
    own = torch.empty(num_captions, device=device)
    for rows, columns, tile in _tiles(scores, caption_image, num_images, own_only=True):
        inside, where = _positives(caption_image, rows, columns)
        own[columns][inside] = tile[where]
    best = torch.full((num_images,), -torch.inf, device=device).scatter_reduce(0, caption_image, own, "amax")

    counts = Counts(
        caption_above=torch.zeros(num_captions, dtype=torch.int64, device=device),
        caption_tied=torch.full((num_captions,), -1, dtype=torch.int64, device=device),  # its own image is no other
        image_above=torch.zeros(num_images, dtype=torch.int64, device=device),
        image_equal=torch.zeros(num_images, dtype=torch.int64, device=device),
        image_best=torch.zeros(num_images, dtype=torch.int64, device=device),
    )
    counts.image_best.scatter_add_(0, caption_image, (own == best[caption_image]).long())
    for rows, columns, tile in _tiles(scores, caption_image, num_images):
        by_caption, by_image = own[columns], best[rows][:, None]
        counts.caption_above[columns] += _count(tile > by_caption, 0)
        counts.caption_tied[columns] += _count(tile == by_caption, 0)
        counts.image_above[rows] += _count(tile > by_image, 1)
        counts.image_equal[rows] += _count(tile == by_image, 1)
        if progress is not None and columns.stop == num_captions:
            progress(rows.stop, num_images)
    return counts


def _tiles(scores: ScoreTile, caption_image: Tensor, num_images: int, own_only: bool = False) -> Iterator[Tile]:
    """All tiles, or those that hold a caption's own image, row by row."""
    for top in range(0, num_images, IMAGE_TILE):
        rows = slice(top, min(top + IMAGE_TILE, num_images))
        first, last = 0, len(caption_image)
        if own_only:
            bounds = torch.tensor([rows.start, rows.stop], device=caption_image.device)
            first, last = torch.searchsorted(caption_image, bounds).tolist()
        for left in range(first // CAPTION_TILE * CAPTION_TILE, last, CAPTION_TILE):
            columns = slice(left, min(left + CAPTION_TILE, len(caption_image)))
            yield rows, columns, scores(rows, columns)


def _positives(caption_image: Tensor, rows: slice, columns: slice) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Which of the tile's captions have their image in the tile (bool [columns]), and where in the tile."""
    row = caption_image[columns] - rows.start
    inside = (row >= 0) & (row < rows.stop - rows.start)
    return inside, (row[inside], inside.nonzero()[:, 0])


def _count(hits: Tensor, dim: int) -> Tensor:
    """int64 number of hits along one dimension of a tile."""
    if hits.device.type != "cpu" or hits.shape[dim] % _GROUP:
        return hits.sum(dim)
    shape = [*hits.shape[:dim], -1, _GROUP, *hits.shape[dim + 1 :]]
    grouped = hits.view(torch.uint8).view(shape)
    return grouped.sum(dim + 1, dtype=torch.uint8).sum(dim, dtype=torch.int64)
