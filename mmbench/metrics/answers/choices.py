"""Multiple choice: whether the choice that a system scores highest is the right one (Visual7W, arXiv 1511.03416)."""

from collections.abc import Mapping, Sequence

import numpy as np

from mmbench.metrics.ids import Id


def choice_accuracy(scores: Mapping[Id, Sequence[float]], right: Mapping[Id, int]) -> dict[Id, float]:
    """1 where the right choice has the highest score, else 0; of several that share the highest, an equal share.

    A system that scores all choices alike thus gets the value of chance, whatever their order.

    Args:
        scores: by question, a score of each choice; higher is likelier. Infinities are allowed.
        right: by question, the place of the right choice.

    Raises:
        ValueError: no samples, questions that the two do not share, a question without choices, a place that is none,
            a score that is not a number.
    """
    if not scores:
        raise ValueError("no samples: there are no questions with choices")
    unshared = scores.keys() ^ right.keys()
    if unshared:
        raise ValueError(
            f"{len(unshared)} questions have only scores or only a right choice, such as {_first(unshared)}"
        )
    return {
        question: _share(question, np.asarray(given, dtype=float), right[question])
        for question, given in scores.items()
    }


def _share(question: object, scores: np.ndarray, right: int) -> float:
    if not 0 <= right < len(scores):
        raise ValueError(f"question {question!r} has {len(scores)} choices; its right one cannot be number {right}")
    if np.isnan(scores).any():
        raise ValueError(f"question {question!r} has scores that are not numbers (NaN)")
    best = scores == scores.max()
    return float(best[right] / best.sum())


def _first(ids: set[Id]) -> str:
    return ", ".join(sorted(map(repr, ids))[:5])
