"""Recall@K and ranks between images and captions, from embeddings or from a matrix of scores."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mmbench.metrics.retrieval.ranks import QueryRanks, RetrievalScores
from mmbench.metrics.retrieval.tiles import CAPTION_TILE, IMAGE_TILE, Progress, ScoreTile, count_ranks

_NUM_GALLERIES, _GALLERY = 5, 1000


@dataclass(frozen=True)
class Coco5x1k:
    """What COCO's 5 x 1K protocol gives; numbers published under it are means of five galleries."""

    galleries: tuple[RetrievalScores, ...]
    """ranks in each gallery of 1,000 images; images and captions are numbered within it"""

    def summary(self, ks: Iterable[int] = (1, 5, 10)) -> dict[str, float]:
        """Means over the galleries of `RetrievalScores.summary`, as `coco_5x1k/text_to_image_recall@1` and so on."""
        ks = tuple(ks)
        summaries = [gallery.summary(ks) for gallery in self.galleries]
        return {f"coco_5x1k/{name}": fmean(each[name] for each in summaries) for name in summaries[0]}


def cross_modal_recall(
    image_embeddings: Tensor | NDArray[Any],
    text_embeddings: Tensor | NDArray[Any],
    caption_image: ArrayLike | Tensor,
    progress: Progress | None = None,
) -> RetrievalScores:
    """Ranks in both directions, with the dot product as score; normalise the embeddings for the cosine.

    The scores are computed in float32 on the device of the image embeddings, one tile at a time.

    Args:
        image_embeddings: [I, D].
        text_embeddings: [C, D].
        caption_image: [C] row of the image that each caption belongs to.
        progress: told how many of how many images have been compared.

    Raises:
        ValueError: no samples, shapes that do not fit, a caption of an unknown image, a score that is not a number.
    """
    images = torch.as_tensor(image_embeddings)
    images = images.float()
    texts = torch.as_tensor(text_embeddings).to(images)
    if images.ndim != 2 or texts.ndim != 2 or images.shape[1] != texts.shape[1]:
        raise ValueError(f"embeddings need the shapes [I, D] and [C, D], not {[*images.shape]} and {[*texts.shape]}")
    owner = _check_owner(caption_image, len(texts), len(images), images.device)
    order = torch.argsort(owner, stable=True)
    return _collect(_product(images, texts[order]), owner, order, len(images), progress)


def recall_from_scores(
    scores: Tensor | NDArray[Any], caption_image: ArrayLike | Tensor, progress: Progress | None = None
) -> RetrievalScores:
    """Ranks in both directions from a matrix of scores.

    Args:
        scores: [C, I] score of each caption (row) with each image (column); infinities are allowed.
        caption_image: [C] column of the image that each caption belongs to.
        progress: told how many of how many images have been compared.

    Raises:
        ValueError: no samples, shapes that do not fit, a caption of an unknown image, a score that is not a number.
    """
    matrix = torch.as_tensor(scores)
    if matrix.ndim != 2:
        raise ValueError(f"scores need the shape [captions, images], not {[*matrix.shape]}")
    owner = _check_owner(caption_image, matrix.shape[0], matrix.shape[1], matrix.device)
    order = torch.argsort(owner, stable=True)

    def tile(rows: slice, columns: slice) -> Tensor:
        return _check_numbers(matrix[order[columns], rows].T.float().contiguous(), rows, columns)

    return _collect(tile, owner, order, matrix.shape[1], progress)


def first_captions(caption_image: ArrayLike, num_captions: int = 5) -> NDArray[np.int64]:
    """Numbers of the first captions of each image; COCO's images have 5 to 7, and the literature keeps 5."""
    owner = np.asarray(caption_image)
    order = np.argsort(owner, kind="stable")
    ordered = owner[order]
    place = np.arange(len(owner)) - np.searchsorted(ordered, ordered)
    return np.sort(order[place < num_captions])


def coco_5x1k(
    image_embeddings: Tensor | NDArray[Any], text_embeddings: Tensor | NDArray[Any], caption_image: ArrayLike | Tensor
) -> Coco5x1k:
    """Ranks by COCO's other protocol: five galleries of 1,000 images, with the first five captions of each.

    Args:
        image_embeddings: [5000, D] in the order of the test list, which says which image is in which gallery.
        text_embeddings: [C, D].
        caption_image: [C] row of the image that each caption belongs to.

    Raises:
        ValueError: the number of images is not 5,000, or as `cross_modal_recall`.
    """
    images, texts = torch.as_tensor(image_embeddings), torch.as_tensor(text_embeddings)
    if len(images) != _NUM_GALLERIES * _GALLERY:
        raise ValueError(f"the 5 x 1K protocol needs {_NUM_GALLERIES * _GALLERY} images, not {len(images)}")
    owner = _check_owner(caption_image, len(texts), len(images), texts.device)
    kept = torch.from_numpy(first_captions(owner.cpu())).to(texts.device)
    galleries = []
    for start in range(0, len(images), _GALLERY):
        mine = kept[(owner[kept] >= start) & (owner[kept] < start + _GALLERY)]
        galleries.append(cross_modal_recall(images[start : start + _GALLERY], texts[mine], owner[mine] - start))
    return Coco5x1k(tuple(galleries))


def _product(images: Tensor, texts: Tensor) -> ScoreTile:
    """Tiles of the product, always computed in one shape and at one place of memory, so that their bits repeat."""
    rows_padded, columns_padded = min(IMAGE_TILE, len(images)), min(CAPTION_TILE, len(texts))
    columns_padded += -columns_padded % 16
    rows_padded += -rows_padded % 16
    left = images.new_zeros(rows_padded, images.shape[1])
    right = images.new_zeros(columns_padded, images.shape[1])
    product = images.new_empty(rows_padded, columns_padded)
    largest = images.abs().max().double() * texts.abs().max().double() * images.shape[1]
    may_overflow = not bool(largest < torch.finfo(torch.float32).max)

    def tile(rows: slice, columns: slice) -> Tensor:
        num_rows, num_columns = rows.stop - rows.start, columns.stop - columns.start
        left[:num_rows] = images[rows]
        right[:num_columns] = texts[columns]
        torch.mm(left, right.T, out=product)
        found = product[:num_rows, :num_columns]
        return _check_numbers(found, rows, columns) if may_overflow else found

    return tile


def _collect(
    tile: ScoreTile, owner: Tensor, order: Tensor, num_images: int, progress: Progress | None
) -> RetrievalScores:
    """Ranks of captions in their original order, and of the images that have captions."""
    counts = count_ranks(tile, owner[order], num_images, progress)
    captions = torch.argsort(order)
    with_captions = counts.image_best.nonzero()[:, 0]

    def numbers(values: Tensor, index: Tensor) -> NDArray[np.int64]:
        return values[index].cpu().numpy()

    return RetrievalScores(
        text_to_image=QueryRanks(
            queries=np.arange(len(owner)),
            num_above=numbers(counts.caption_above, captions),
            num_tied=numbers(counts.caption_tied, captions),
            num_best=np.ones(len(owner), np.int64),
            num_candidates=num_images,
        ),
        image_to_text=QueryRanks(
            queries=with_captions.cpu().numpy(),
            num_above=numbers(counts.image_above, with_captions),
            num_tied=numbers(counts.image_equal - counts.image_best, with_captions),
            num_best=numbers(counts.image_best, with_captions),
            num_candidates=len(owner),
        ),
        num_images=num_images,
        num_captions=len(owner),
    )


def _check_owner(caption_image: ArrayLike | Tensor, num_captions: int, num_images: int, device: torch.device) -> Tensor:
    """int64 [C] image of each caption."""
    owner = torch.as_tensor(caption_image)
    if owner.is_floating_point() and not torch.equal(owner, owner.round()):
        raise ValueError("caption_image needs whole numbers: the row of each caption's image")
    owner = owner.to(device, torch.int64)
    if not num_captions or not num_images:
        raise ValueError(f"no samples: {num_captions} captions and {num_images} images")
    if owner.shape != (num_captions,):
        raise ValueError(f"caption_image has the shape {[*owner.shape]}, but there are {num_captions} captions")
    unknown = ((owner < 0) | (owner >= num_images)).nonzero()[:, 0]
    if len(unknown):
        first = int(unknown[0])
        raise ValueError(
            f"{len(unknown)} captions belong to unknown images, such as caption {first} to image {int(owner[first])} "
            f"of {num_images}"
        )
    return owner


def _check_numbers(tile: Tensor, rows: slice, columns: slice) -> Tensor:
    bad = tile.isnan()
    if bad.any():
        raise ValueError(
            f"scores that are not numbers (NaN) for {int(bad.any(1).sum())} images and "
            f"{int(bad.any(0).sum())} captions, among images {rows.start} to {rows.stop - 1} and "
            f"{columns.stop - columns.start} captions"
        )
    return tile
