"""Recall@K and ranks equal brute force over all orders of ties; collapsed models get chance; tiles change nothing."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.metrics import coco_5x1k, cross_modal_recall, recall_from_scores
from mmbench.metrics.retrieval import tiles
from mmbench.metrics.retrieval.recall import first_captions


def brute_force(scores: np.ndarray, positives: np.ndarray, k: int) -> dict[str, float]:
    """Recall@k of one query by the definition: all orders of the candidates that respect the scores."""
    hits = []
    for order in itertools.permutations(range(len(scores))):
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order)):
            hits.append(any(positives[candidate] for candidate in order[:k]))
    return {"expected": float(np.mean(hits)), "optimistic": float(max(hits)), "pessimistic": float(min(hits))}


@st.composite
def small_matrices(draw: st.DrawFn) -> tuple[np.ndarray, list[int]]:
    num_images, num_captions = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    values = st.sampled_from([-math.inf, -1.0, 0.0, 1.0, 2.0, math.inf])
    scores = [[draw(values) for _ in range(num_images)] for _ in range(num_captions)]
    return np.array(scores), [draw(st.integers(0, num_images - 1)) for _ in range(num_captions)]


@settings(deadline=None, max_examples=150)
@given(small_matrices(), st.integers(1, 6))
def test_equals_brute_force(example: tuple[np.ndarray, list[int]], k: int) -> None:
    scores, owner = example
    found = recall_from_scores(scores, owner)
    owners = np.array(owner)
    for ties in ("expected", "optimistic", "pessimistic"):
        for caption, value in enumerate(found.text_to_image.recall(k, ties)):
            expected = brute_force(scores[caption], np.arange(scores.shape[1]) == owner[caption], k)
            assert value == pytest.approx(expected[ties], abs=1e-12)
        values = found.image_to_text.recall(k, ties)
        for image, value in zip(found.image_to_text.queries, values, strict=True):
            assert value == pytest.approx(brute_force(scores[:, image], owners == image, k)[ties], abs=1e-12)
    assert found.num_images_without_captions == scores.shape[1] - len(set(owner))


def sorted_recall(similarity: np.ndarray, owner: np.ndarray, k: int) -> tuple[float, float]:
    """Both directions by sorting, where there are no ties."""
    top_images = np.argsort(-similarity, axis=1)[:, :k]
    top_captions = np.argsort(-similarity, axis=0)[:k]
    images = np.unique(owner)
    return float((top_images == owner[:, None]).any(1).mean()), float((owner[top_captions] == images).any(0).mean())


def test_tiles_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    images, texts = rng.normal(size=(90, 8)), rng.normal(size=(333, 8))
    owner = rng.permutation(np.concatenate([np.arange(90), rng.integers(0, 90, 243)]))
    texts += images[owner]
    whole = cross_modal_recall(images, texts, owner).summary((1, 5, 10))
    for k in (1, 5, 10):
        text_to_image, image_to_text = sorted_recall(texts @ images.T, owner, k)
        assert whole[f"text_to_image_recall@{k}"] == pytest.approx(text_to_image, abs=1e-12)
        assert whole[f"image_to_text_recall@{k}"] == pytest.approx(image_to_text, abs=1e-12)
    assert 0 < whole["text_to_image_recall@1"] < 1
    for module in (tiles, __import__("mmbench.metrics.retrieval.recall", fromlist=["x"])):
        monkeypatch.setattr(module, "IMAGE_TILE", 32)
        monkeypatch.setattr(module, "CAPTION_TILE", 48)
    assert cross_modal_recall(images, texts, owner).summary((1, 5, 10)) == whole


def test_collapsed_model_gets_chance() -> None:
    vector = np.random.default_rng(1).normal(size=(1, 512))
    scores = cross_modal_recall(vector.repeat(1300, 0), vector.repeat(2600, 0), np.arange(2600) // 2)
    for k in (1, 5, 10):
        assert scores.text_to_image.recall(k) == pytest.approx(np.full(2600, k / 1300), abs=1e-12)
        chance = 1 - math.comb(2598, k) / math.comb(2600, k)
        assert scores.image_to_text.recall(k) == pytest.approx(np.full(1300, chance), abs=1e-12)
    assert scores.text_to_image.rank() == pytest.approx(np.full(2600, 1301 / 2))
    assert (scores.text_to_image.rank("optimistic") == 1).all()
    assert (scores.text_to_image.rank("pessimistic") == 1300).all()
    with pytest.warns(UserWarning, match="ties decide text_to_image_recall@1"):
        summary = scores.summary((1,))
    assert (summary["text_to_image_recall@1/optimistic"], summary["text_to_image_recall@1/pessimistic"]) == (1.0, 0.0)


def test_copies_tie_to_the_last_bit() -> None:
    """A duplicate of the positive is a tie wherever it stands, not above or below by a rounding error."""
    rng = np.random.default_rng(2)
    images = rng.normal(size=(1100, 64))
    images[550:] = images[:550]
    scores = cross_modal_recall(images, images[:550] + 0.01 * rng.normal(size=(550, 64)), np.arange(550))
    assert (scores.text_to_image.num_above == 0).all()
    assert (scores.text_to_image.num_tied == 1).all()
    assert scores.text_to_image.recall(1) == pytest.approx(np.full(550, 0.5))


def test_images_without_captions_are_only_candidates() -> None:
    scores = recall_from_scores(np.array([[0.0, 1.0, 2.0]]), [0])
    assert scores.num_images_without_captions == 2
    assert list(scores.image_to_text.queries) == [0]
    assert scores.text_to_image.rank()[0] == 3


def test_k_above_the_gallery() -> None:
    scores = recall_from_scores(np.array([[0.0, 1.0], [1.0, 0.0]]), [0, 1])
    with pytest.warns(UserWarning, match=r"text_to_image recall@5 is 1: there are only 2 candidates"):
        assert scores.summary((5,))["text_to_image_recall@5"] == 1.0


def test_first_captions() -> None:
    assert first_captions([1, 0, 1, 1, 0, 2], 2).tolist() == [0, 1, 2, 4, 5]


def test_five_galleries() -> None:
    images = torch.eye(5000, 8) + torch.arange(5000)[:, None] / 5000
    folds = coco_5x1k(images, images[torch.arange(10000) // 2], torch.arange(10000) // 2)
    assert [(fold.num_images, fold.num_captions) for fold in folds] == [(1000, 2000)] * 5
    with pytest.raises(ValueError, match="5000 images, not 10"):
        coco_5x1k(images[:10], images[:10], torch.arange(10))


class TestBadInput:
    def test_nan(self) -> None:
        with pytest.raises(ValueError, match=r"NaN.* 1 images and 2 captions"):
            recall_from_scores(np.array([[0.0, math.nan], [1.0, math.nan], [0.0, 0.0]]), [0, 1, 1])
        with pytest.raises(ValueError, match="NaN"):
            cross_modal_recall(np.array([[math.nan, 1.0]]), np.array([[1.0, 1.0]]), [0])

    def test_no_samples(self) -> None:
        with pytest.raises(ValueError, match="no samples"):
            cross_modal_recall(np.zeros((3, 2)), np.zeros((0, 2)), [])

    def test_shapes(self) -> None:
        with pytest.raises(ValueError, match=r"shapes \[I, D\] and \[C, D\], not \[3, 2\] and \[3, 4\]"):
            cross_modal_recall(np.zeros((3, 2)), np.zeros((3, 4)), [0, 1, 2])
        with pytest.raises(ValueError, match="3 captions"):
            cross_modal_recall(np.zeros((3, 2)), np.zeros((3, 2)), [0, 1])

    def test_unknown_image(self) -> None:
        with pytest.raises(ValueError, match="1 captions belong to unknown images, such as caption 1 to image 7 of 3"):
            cross_modal_recall(np.zeros((3, 2)), np.zeros((2, 2)), [0, 7])
        with pytest.raises(ValueError, match="whole numbers"):
            cross_modal_recall(np.zeros((3, 2)), np.zeros((2, 2)), [0, 0.5])
