"""Expected calibration error (Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599): how far confidence is from truth.

torchmetrics is not used for it: its bins are open on the right, confidences of exactly 1 get a bin of their own, and
NaN counts as a confidence. Away from the edges of bins the two agree.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mmbench.metrics.classification.labels import check_labels

Binning = Literal["width", "mass"]


@dataclass(frozen=True)
class Calibration:
    """M bins of confidence; what a reliability diagram shows."""

    upper_edges: NDArray[np.float32]
    """[M] bin m holds confidences in (upper_edges[m - 1], upper_edges[m]], the first one 0 as well"""
    counts: NDArray[np.int64]
    """[M] examples"""
    confidence: NDArray[np.float64]
    """[M] mean confidence, NaN in an empty bin"""
    accuracy: NDArray[np.float64]
    """[M] mean correctness, NaN in an empty bin"""

    @property
    def expected_error(self) -> float:
        """The expected calibration error, 0..1: |accuracy - confidence|, averaged over examples."""
        filled = self.counts > 0
        gaps = np.abs(self.accuracy - self.confidence)[filled]
        return float(gaps @ self.counts[filled] / self.counts.sum())


def calibration(
    confidences: ArrayLike | Tensor, correct: ArrayLike | Tensor, num_bins: int = 15, binning: Binning = "width"
) -> Calibration:
    """Mean confidence and accuracy in bins of confidence; `.expected_error` is the expected calibration error.

    Args:
        confidences: [N] 0..1, of the predicted class (see `top_label`); compared with the edges in float32.
        correct: [N] whether the prediction was right; a fraction is an expected value.
        num_bins: M.
        binning: "width" for bins of equal width, as in the papers; "mass" for bins of equally many examples, with
            edges at the quantiles (examples of equal confidence share a bin).

    Raises:
        ValueError: no samples, shapes that do not fit, values outside 0..1 or NaN, fewer than one bin.
    """
    check_bins(num_bins, binning)
    confidence, right = check_pairs(confidences, correct)
    if not len(confidence):
        raise ValueError("no samples: there are no confidences to compare with the truth")
    edges = _equal_width(num_bins) if binning == "width" else _equal_mass(confidence, num_bins)
    place = np.searchsorted(edges, confidence, side="left")
    # In ascending order, so that the order of the examples does not show in the last bits of the sums.
    order = np.lexsort((right, confidence))
    counts = np.bincount(place, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place[order], each[order], num_bins) / counts for each in (confidence, right)]
    return Calibration(edges, counts, *means)


def top_label(
    probabilities: Tensor | NDArray[Any], labels: ArrayLike | Tensor
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Confidence of the most probable class [N], and whether it is the right one [N].

    Where several classes are the most probable, the correctness is its expected value under a random choice of them.

    Args:
        probabilities: [N, K]; apply the softmax to logits first.
        labels: [N] 0..K-1.

    Raises:
        ValueError: shapes that do not fit, labels that are no classes, values outside 0..1 or NaN.
    """
    table = _fractions(probabilities, "probabilities")
    if table.ndim != 2 or not table.shape[1]:
        raise ValueError(f"probabilities need the shape [N, K], not {[*table.shape]}")
    truth = check_labels(labels, table.shape[1]).cpu().numpy()
    if truth.shape != table.shape[:1]:
        raise ValueError(f"labels have the shape {[*truth.shape]}, but there are {len(table)} rows of probabilities")
    confidence = table.max(axis=1)
    best = table == confidence[:, None]
    return confidence, (best[np.arange(len(truth)), truth] / best.sum(axis=1)).astype(np.float32)


def check_bins(num_bins: int, binning: Binning) -> None:
    """Refuse bins that do not exist."""
    if num_bins < 1 or binning not in ("width", "mass"):
        raise ValueError(f"bins need a number of at least 1 and 'width' or 'mass', not {num_bins} and '{binning}'")


def check_pairs(
    confidences: ArrayLike | Tensor, correct: ArrayLike | Tensor
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Confidences [N] and correctness [N], or an error that counts the bad ones; N may be 0."""
    confidence, right = _fractions(confidences, "confidences"), _fractions(correct, "values of correctness")
    if confidence.ndim != 1 or confidence.shape != right.shape:
        raise ValueError(
            f"confidences and correctness need the same shape [N], not {[*confidence.shape]} and {[*right.shape]}"
        )
    return confidence, right


def _equal_width(num_bins: int) -> NDArray[np.float32]:
    return (np.arange(1, num_bins + 1) / num_bins).astype(np.float32)


def _equal_mass(confidence: NDArray[np.float32], num_bins: int) -> NDArray[np.float32]:
    """Edges at every (N / M)th confidence, rounded up; the last is the largest."""
    last = -(-np.arange(1, num_bins + 1) * len(confidence) // num_bins) - 1
    return np.sort(confidence)[last]


def _fractions(values: ArrayLike | Tensor, what: str) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = torch.as_tensor(values).detach().float().cpu().numpy()
    bad = ~((numbers >= 0) & (numbers <= 1))
    if bad.any():
        raise ValueError(
            f"{int(np.isnan(numbers).sum())} of {numbers.size} {what} are NaN and "
            f"{int((bad & ~np.isnan(numbers)).sum())} outside 0..1"
        )
    return numbers
