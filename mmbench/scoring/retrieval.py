"""Scores of retrieval: a matrix of similarities, or embeddings, as NumPy arrays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmbench.config.errors import UserError
from mmbench.metrics.retrieval.ranks import RetrievalScores
from mmbench.metrics.retrieval.recall import cross_modal_recall, recall_from_scores
from mmbench.scoring.arrays import read_array
from mmbench.scoring.scores import ExampleScores, Progress, Scores, counted, heard, refusals, unheard


def score_similarity(
    similarity: Path, caption_image: Path, ks: Sequence[int] = (1, 5, 10), progress: Progress = unheard
) -> Scores:
    """Recall@K and ranks in both directions from a matrix of similarities, compared in float32.

    Args:
        similarity: [C, I] of each caption (row) with each image (column).
        caption_image: [C] column of each caption's image.
        ks: the K of Recall@K.
        progress: told of the images that have been compared.

    Raises:
        UserError: a file that cannot be read; shapes that do not fit; a caption of an unknown image; NaN.
    """
    matrix, owner = _numbers(similarity), _read_owner(caption_image)
    if matrix.ndim == 2 and len(matrix) != len(owner) == matrix.shape[1]:
        raise UserError(
            f"'{similarity}' has the shape {[*matrix.shape]} and '{caption_image}' has {len(owner):,} captions: "
            f"captions are rows and images columns, so the matrix must be transposed"
        )
    notes: list[str] = []
    with heard(notes), refusals():
        ranks = recall_from_scores(matrix, owner, lambda done, total: progress("images", done, total))
    return _scores(ranks, similarity.name, owner, ks, notes)


def score_embeddings(
    image_embeddings: Path,
    text_embeddings: Path,
    caption_image: Path,
    ks: Sequence[int] = (1, 5, 10),
    normalize: bool = False,
    progress: Progress = unheard,
) -> Scores:
    """Recall@K and ranks in both directions; the similarity is the dot product in float32.

    Args:
        image_embeddings: [I, D].
        text_embeddings: [C, D].
        caption_image: [C] row of each caption's image.
        ks: the K of Recall@K.
        normalize: whether to divide embeddings by their length first, which makes the dot product the cosine.
        progress: told of the images that have been compared.

    Raises:
        UserError: a file that cannot be read; shapes that do not fit; a caption of an unknown image; NaN; an embedding
            of length zero where it is to be normalised.
    """
    images, texts = (_read_embeddings(path, normalize) for path in (image_embeddings, text_embeddings))
    owner = _read_owner(caption_image)
    notes: list[str] = []
    with heard(notes), refusals():
        ranks = cross_modal_recall(images, texts, owner, lambda done, total: progress("images", done, total))
    return _scores(ranks, f"{image_embeddings.name} and {text_embeddings.name}", owner, ks, notes)


def _numbers(path: Path) -> NDArray[np.floating[Any]]:
    """An array of floating-point numbers, as it is in the file where it has such."""
    array = read_array(path)
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def _read_owner(path: Path) -> NDArray[np.int64]:
    owner = read_array(path)
    if owner.ndim != 1:
        raise UserError(f"'{path}' has the shape {[*owner.shape]}; [captions] is needed")
    with np.errstate(invalid="ignore"):
        whole = owner.astype(np.int64)
    if not np.array_equal(whole, owner):
        raise UserError(f"'{path}' must hold whole numbers, the place of each caption's image; it is {owner.dtype}")
    return whole


def _read_embeddings(path: Path, normalize: bool) -> NDArray[np.floating[Any]]:
    embeddings = _numbers(path)
    if not normalize:
        return embeddings
    if embeddings.ndim != 2:
        raise UserError(f"'{path}' has the shape {[*embeddings.shape]}; [rows, width] is needed")
    rows = embeddings.astype(np.float32)
    # In double precision no float32 is too large or too small to be squared.
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    if not length.all():
        zero = np.flatnonzero(length == 0)
        raise UserError(
            f"{len(zero):,} of {len(rows):,} embeddings in '{path}' are zero and have no direction, such as row "
            f"{zero[0]}; without --normalize they can be scored"
        )
    unit: NDArray[np.float32] = (rows / length[:, None]).astype(np.float32)
    return unit


def _scores(ranks: RetrievalScores, name: str, owner: NDArray[np.int64], ks: Sequence[int], notes: list[str]) -> Scores:
    if ranks.num_images_without_captions:
        notes.append(f"{counted(ranks.num_images_without_captions, 'image')} without captions: candidates, no queries")
    with heard(notes):
        values = ranks.summary(ks)
    with heard([]):  # the same warnings once more
        per_query = ranks.per_query(ks)
    return Scores(
        title=f"{name}: {counted(ranks.num_captions, 'caption')}, {counted(ranks.num_images, 'image')}",
        values=values,
        per_example=[
            ExampleScores(
                metric,
                queries.tolist(),
                (owner[queries] if metric.startswith("text_to_image") else queries).tolist(),
                scores.tolist(),
            )
            for metric, (queries, scores) in per_query.items()
        ],
        notes=notes,
    )
