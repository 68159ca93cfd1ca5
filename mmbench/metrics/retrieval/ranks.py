"""What each query's best positive ranks among: the counts that Recall@K and ranks are computed from."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ties = Literal["expected", "optimistic", "pessimistic"]
TIES: tuple[Ties, ...] = ("expected", "optimistic", "pessimistic")


@dataclass(frozen=True)
class QueryRanks:
    """How many candidates stand above and beside the best positive of each query, in one direction.

    Candidates of equal score have no order; "expected" averages over all orders of them, "optimistic" puts the positive
    first and "pessimistic" last. A model that scores everything alike thus gets the value of chance.
    """

    queries: NDArray[np.int64]
    """[queries] which caption, or which image"""
    num_above: NDArray[np.int64]
    """[queries] candidates that score above the best positive"""
    num_tied: NDArray[np.int64]
    """[queries] other candidates with the best positive's score"""
    num_best: NDArray[np.int64]
    """[queries] positives with the best positive's score, 1 or more"""
    num_candidates: int
    """size of the gallery"""

    def recall(self, k: int, ties: Ties = "expected") -> NDArray[np.float64]:
        """[queries] 1 where a positive is among the first k candidates, else 0; in between where a tie decides.

        Raises:
            ValueError: k below 1.
        """
        if k < 1:
            raise ValueError(f"Recall@K needs a K of at least 1, not {k}")
        places = k - self.num_above
        if ties == "optimistic":
            return (places > 0).astype(np.float64)
        if ties == "pessimistic":
            return (places > self.num_tied).astype(np.float64)
        # The chance that all places go to others: C(others, places) / C(others + best, places), as a product.
        places = np.clip(places, 0, self.num_tied + 1)
        missed = np.ones(len(self.queries))
        for step in range(1, int(self.num_best.max(initial=0)) + 1):
            factor = (self.num_tied - places + step) / (self.num_tied + step)
            missed *= np.where(step <= self.num_best, factor, 1.0)
        return 1.0 - missed

    def rank(self, ties: Ties = "expected") -> NDArray[np.float64]:
        """[queries] place of the first positive, from 1."""
        if ties == "optimistic":
            return (self.num_above + 1).astype(np.float64)
        if ties == "pessimistic":
            return (self.num_above + self.num_tied + 1).astype(np.float64)
        return self.num_above + (self.num_tied + self.num_best + 1) / (self.num_best + 1)


@dataclass(frozen=True)
class RetrievalScores:
    """Both directions of retrieval between I images and C captions."""

    text_to_image: QueryRanks
    """query: caption, candidates: all images, positive: its image"""
    image_to_text: QueryRanks
    """query: image with at least one caption, candidates: all captions, positives: its captions (any of them counts)"""
    num_images: int
    """I, images without captions included"""
    num_captions: int
    """C"""

    @property
    def num_images_without_captions(self) -> int:
        """Images that are candidates, but no queries."""
        return self.num_images - len(self.image_to_text.queries)

    def per_query(self, ks: Iterable[int] = (1, 5, 10)) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Queries, scores by metric name: `text_to_image_recall@K`, `.../optimistic`, `.../pessimistic`, and back."""
        scores: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
        for direction, ranks in self._directions().items():
            for k in ks:
                if k > ranks.num_candidates:
                    warnings.warn(
                        f"{direction} recall@{k} is 1: there are only {ranks.num_candidates} candidates", stacklevel=2
                    )
                for ties in TIES:
                    suffix = "" if ties == "expected" else f"/{ties}"
                    scores[f"{direction}_recall@{k}{suffix}"] = (ranks.queries, ranks.recall(k, ties))
        return scores

    def summary(self, ks: Iterable[int] = (1, 5, 10)) -> dict[str, float]:
        """Means over queries by metric name, with `..._median_rank` and `..._mean_rank`; warns of ties."""
        values = {name: float(scores.mean()) for name, (_, scores) in self.per_query(ks).items()}
        tied = [name for name in values if f"{name}/optimistic" in values and _differ(values, name)]
        if tied:
            warnings.warn(f"ties decide {', '.join(tied)}; the expected value is given", stacklevel=2)
        for direction, ranks in self._directions().items():
            values[f"{direction}_median_rank"] = float(np.median(ranks.rank()))
            values[f"{direction}_mean_rank"] = float(ranks.rank().mean())
        return values

    def _directions(self) -> dict[str, QueryRanks]:
        return {"text_to_image": self.text_to_image, "image_to_text": self.image_to_text}


def _differ(values: dict[str, float], name: str) -> bool:
    return values[f"{name}/optimistic"] != values[f"{name}/pessimistic"]
