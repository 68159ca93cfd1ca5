"""Linear probe: how much of a label a linear classifier reads off frozen features (CLIP, arXiv 2103.00020).

Multinomial logistic regression with an L2 penalty, fitted by L-BFGS, its strength chosen on held-out examples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

STRENGTHS = tuple(10.0**power for power in range(-6, 2))
"""The penalties that are tried: halves of the squared weights' sum times this are added to the mean loss."""
_MOST_ITERATIONS = 500

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LinearProbe:
    """A fitted classifier of F features into K classes."""

    mean: Array
    """[F] of the training features"""
    scale: Array
    """[F] what they are divided by: their standard deviation, 1 where they do not vary"""
    weight: Array
    """[F, K]"""
    bias: Array
    """[K]"""
    strength: float
    """of the penalty that was chosen"""

    def logits(self, features: ArrayLike) -> Array:
        """[N, K] scores of the classes for features [N, F]."""
        scores: Array = (_checked(features) - self.mean) / self.scale @ self.weight + self.bias
        return scores


def fit_linear_probe(
    features: ArrayLike, labels: ArrayLike, held_out: tuple[ArrayLike, ArrayLike], num_classes: int
) -> LinearProbe:
    """The classifier with the penalty of the highest accuracy on the held-out examples, the larger one of equals.

    Args:
        features: [N, F] of the training examples.
        labels: [N] 0..K-1.
        held_out: features and labels of other examples, on which the penalty is chosen.
        num_classes: K.

    Raises:
        ValueError: no samples, shapes that do not fit, labels that are no classes, features that are not finite.
    """
    table, truth = _checked(features), _classes(labels, num_classes)
    others, others_truth = _checked(held_out[0]), _classes(held_out[1], num_classes)
    if not len(table) or not len(others):
        raise ValueError(f"no samples: {len(table)} examples to fit and {len(others)} to choose the penalty on")
    if table.shape[0] != len(truth) or len(others) != len(others_truth) or table.shape[1] != others.shape[1]:
        raise ValueError("features and labels differ in number, or the held-out features have another width")
    mean, deviation = table.mean(axis=0), table.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    standard = (table - mean) / scale
    best: tuple[float, LinearProbe] | None = None
    start = np.zeros((table.shape[1] + 1) * num_classes)
    # From the strongest penalty down, each fit begins where the last one ended.
    for strength in sorted(STRENGTHS, reverse=True):
        start = _fit(standard, truth, num_classes, strength, start)
        weights = start.reshape(table.shape[1] + 1, num_classes)
        probe = LinearProbe(mean, scale, weights[:-1], weights[-1], strength)
        accuracy = float((probe.logits(others).argmax(axis=1) == others_truth).mean())
        if best is None or accuracy > best[0]:
            best = accuracy, probe
    assert best is not None
    return best[1]


def _fit(features: Array, labels: NDArray[np.int64], num_classes: int, strength: float, start: Array) -> Array:
    """[(F + 1) K] weights and, in the last row, biases (which are not penalised)."""
    hits = np.eye(num_classes)[labels]

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(-1, num_classes)
        logits = features @ weights[:-1] + weights[-1]
        total = logsumexp(logits, axis=1, keepdims=True)
        wrong = (np.exp(logits - total) - hits) / len(labels)
        gradient = np.vstack([features.T @ wrong + strength * weights[:-1], wrong.sum(axis=0)])
        value = (total[:, 0] - logits[np.arange(len(labels)), labels]).mean() + strength / 2 * (weights[:-1] ** 2).sum()
        return float(value), gradient.ravel()

    solved: Array = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _MOST_ITERATIONS}).x
    return solved


def _checked(features: ArrayLike) -> Array:
    table = np.asarray(features, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"features need the shape [N, F], not {[*table.shape]}")
    bad = ~np.isfinite(table).all(axis=1)
    if bad.any():
        raise ValueError(f"{int(bad.sum())} of {len(table)} examples have features that are not finite")
    return table


def _classes(labels: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    truth = np.asarray(labels)
    if truth.ndim != 1 or (truth.size and not np.issubdtype(truth.dtype, np.integer)):
        raise ValueError("labels need the shape [N] and whole numbers, the number of each class")
    outside = truth[(truth < 0) | (truth >= num_classes)]
    if len(outside):
        raise ValueError(
            f"{len(outside)} of {len(truth)} labels are outside 0..{num_classes - 1}, such as {outside[0]}"
        )
    return truth.astype(np.int64)
