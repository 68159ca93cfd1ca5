"""Retrieval in two steps: the first K candidates by embedding, put into the order of a dearer score."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mmbench.metrics.retrieval.ranks import QueryRanks
from mmbench.metrics.retrieval.tiles import IMAGE_TILE


def first_candidates(queries: Tensor, gallery: Tensor, k: int) -> NDArray[np.int64]:
    """int64 [Q, K] the K candidates with the highest dot product of each query, the highest first, in float32.

    Candidates of equal score stand in an order that was drawn once, the same for all queries: where everything ties,
    the first K are no better than chance, and a repeat gives the same ones.

    Args:
        queries: [Q, D].
        gallery: [G, D].
        k: K; all G where there are fewer.

    Raises:
        ValueError: k below 1, shapes that do not fit, embeddings that are not numbers.
    """
    if k < 1:
        raise ValueError(f"candidates need a K of at least 1, not {k}")
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"embeddings need the shapes [Q, D] and [G, D], not {[*queries.shape]} and {[*gallery.shape]}")
    if queries.isnan().any() or gallery.isnan().any():
        raise ValueError("embeddings hold numbers that are none (NaN)")
    order = torch.from_numpy(np.random.Generator(np.random.Philox(key=0)).permutation(len(gallery))).to(gallery.device)
    shuffled = gallery.float()[order]
    tiles = []
    for top in range(0, len(queries), IMAGE_TILE):
        scores = queries[top : top + IMAGE_TILE].to(shuffled) @ shuffled.T
        found = scores.sort(dim=1, descending=True, stable=True).indices[:, :k]
        tiles.append(order[found].cpu())
    return torch.cat(tiles).numpy() if tiles else np.zeros((0, min(k, len(gallery))), np.int64)


def reranked_ranks(scores: ArrayLike, is_positive: ArrayLike, queries: ArrayLike | None = None) -> QueryRanks:
    """The rank of each query's best positive among its K candidates; one without a positive is not found in any K.

    Args:
        scores: [Q, K] the second score of each query's candidates.
        is_positive: bool [Q, K] which of them are right.
        queries: [Q] which caption or image each query is; 0..Q-1 if not given.

    Raises:
        ValueError: no samples, shapes that do not fit, scores that are not numbers.
    """
    table, positive = np.asarray(scores, dtype=np.float64), np.asarray(is_positive, dtype=bool)
    if table.ndim != 2 or not table.size or table.shape != positive.shape:
        raise ValueError(f"scores and positives need one shape [Q, K], not {[*table.shape]} and {[*positive.shape]}")
    if np.isnan(table).any():
        raise ValueError(f"{int(np.isnan(table).any(axis=1).sum())} queries have scores that are not numbers (NaN)")
    found: NDArray[np.bool_] = np.asarray(positive.any(axis=1))
    best = np.where(positive, table, -np.inf).max(axis=1, keepdims=True)
    above = (table > best).sum(axis=1)
    equal_positive = ((table == best) & positive).sum(axis=1)
    return QueryRanks(
        queries=np.arange(len(table)) if queries is None else np.asarray(queries, dtype=np.int64),
        num_above=_where(found, above, table.shape[1]),
        num_tied=_where(found, ((table == best) & ~positive).sum(axis=1), 0),
        num_best=_where(found, equal_positive, 1),
        num_candidates=table.shape[1],
    )


def _where(condition: NDArray[np.bool_], values: ArrayLike, otherwise: int) -> NDArray[np.int64]:
    return np.where(condition, values, otherwise).astype(np.int64)
