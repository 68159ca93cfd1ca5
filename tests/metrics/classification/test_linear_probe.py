"""Linear probe."""

import numpy as np
import pytest

from mmbench.metrics import fit_linear_probe
from mmbench.metrics.classification.linear_probe import STRENGTHS


def blobs(number: int, seed: int, spread: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Three classes around three corners, among features that say nothing and one that never varies."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, number)
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])[labels] * 100
    noise = rng.normal(size=(number, 4))
    return np.hstack([corners + 100 * spread * rng.normal(size=(number, 2)), noise, np.ones((number, 1))]), labels


def test_what_a_line_can_tell_apart_is_told_apart() -> None:
    probe = fit_linear_probe(*blobs(200, 0, 0.05), blobs(60, 1, 0.05), 3)
    features, labels = blobs(500, 2, 0.05)
    assert (probe.logits(features).argmax(axis=1) == labels).mean() > 0.99


def test_it_is_the_minimum_of_the_penalised_loss() -> None:
    features, labels = blobs(80, 3)
    probe = fit_linear_probe(features, labels, blobs(40, 4), 3)
    assert probe.strength in STRENGTHS
    standard = (features - probe.mean) / probe.scale
    logits = probe.logits(features)
    likelihoods = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = (likelihoods - np.eye(3)[labels]) / len(labels)
    assert standard.T @ wrong + probe.strength * probe.weight == pytest.approx(0, abs=1e-3)
    assert wrong.sum(axis=0) == pytest.approx(0, abs=1e-3)


def test_the_penalty_is_chosen_on_the_held_out_examples() -> None:
    """With features that say nothing, any weight only hurts elsewhere: the strongest penalty wins or ties."""
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1], 20)
    common = np.zeros(40, int)
    probe = fit_linear_probe(rng.normal(size=(40, 30)), labels, (rng.normal(size=(40, 30)), common), 2)
    assert probe.strength > min(STRENGTHS)


@pytest.mark.parametrize(
    "features, labels, words",
    [
        (np.ones((2, 3)), [0, 3], "outside 0..2"),
        (np.ones((2, 3)), [0.5, 1.0], "whole numbers"),
        (np.full((2, 3), np.nan), [0, 1], "not finite"),
        (np.ones((0, 3)), [], "no samples"),
        (np.ones((3, 3)), [0, 1], "differ in number"),
        (np.ones(3), [0, 1, 2], "shape"),
    ],
)
def test_what_cannot_be_fitted_is_said(features: np.ndarray, labels: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit_linear_probe(features, np.asarray(labels, dtype=None if labels else int), (np.ones((2, 3)), [0, 1]), 3)
