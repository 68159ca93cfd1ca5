"""Recall@K and ranks equal brute force over all orders of ties; collapsed models get chance; tiles change nothing."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.metrics import coco_5x1k, cross_modal_recall, recall_from_scores
from mmbench.metrics.retrieval import tiles
from mmbench.metrics.retrieval.recall import first_captions


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    return torch.device(request.param)


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


def by_definition(scores: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """[candidates + 1] chance that no positive is among the first k, for each k from 0; no use of the best positive.

    Equal candidates are drawn without replacement: with g of them, p of them positive, and r places, no positive is
    drawn with the chance C(g - p, r) / C(g, r).
    """
    missed = np.ones(len(scores) + 1)
    chance, taken = Fraction(1), 0
    for value in np.unique(scores)[::-1]:
        size, num_positive = int((scores == value).sum()), int(positives[scores == value].sum())
        for places in range(size + 1):
            here = Fraction(math.comb(size - num_positive, places), math.comb(size, places))
            missed[taken + places] = float(chance * here)
        chance *= int(num_positive == 0)
        taken += size
    return missed


def tied_matrix(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores [120 captions, 45 images], five of the images without captions, and each caption's image."""
    rng = np.random.default_rng(4)
    owner = rng.permutation(np.concatenate([np.arange(40), rng.integers(0, 40, 80)]))
    scores = {
        "two values": rng.integers(0, 2, (120, 45)),
        "five values": rng.integers(0, 5, (120, 45)),
        "own image among the best": rng.integers(0, 4, (120, 45)) + 2 * (owner[:, None] == np.arange(45)),
        "all equal": np.zeros((120, 45)),
        "one column for all": np.repeat(rng.normal(size=(120, 1)), 45, 1),
        "one row for all": np.repeat(rng.normal(size=(1, 45)), 120, 0),
        "no ties": rng.normal(size=(120, 45)),
        "infinities": rng.choice([-math.inf, 0.0, math.inf], (120, 45)),
    }
    return scores[kind].astype(float), owner


KINDS = ["two values", "five values", "own image among the best", "all equal", "one column for all", "one row for all"]


@pytest.mark.filterwarnings("ignore:ties decide")
@pytest.mark.parametrize("kind", [*KINDS, "no ties", "infinities"])
def test_equals_definition_with_many_ties(kind: str, device: torch.device) -> None:
    scores, owner = tied_matrix(kind)
    found = recall_from_scores(torch.tensor(scores, device=device), owner)
    captions = np.array([by_definition(row, np.arange(45) == image) for row, image in zip(scores, owner, strict=True)])
    images = np.array([by_definition(scores[:, image], owner == image) for image in range(40)])
    for ranks, missed in ((found.text_to_image, captions), (found.image_to_text, images)):
        for k in (1, 2, 5, 10, 45):
            assert ranks.recall(k) == pytest.approx(1 - missed[:, k], abs=1e-12)
            assert ranks.recall(k, "optimistic") == pytest.approx((missed[:, k] < 1).astype(float))
            assert ranks.recall(k, "pessimistic") == pytest.approx((missed[:, k] == 0).astype(float))
        assert ranks.rank() == pytest.approx(missed.sum(1), abs=1e-9)  # the mean of a rank is the sum of P(rank > k)
    summary = found.summary((5,))
    assert summary["text_to_image_recall@5"] == pytest.approx(1 - captions[:, 5].mean(), abs=1e-12)
    assert summary["image_to_text_recall@5"] == pytest.approx(1 - images[:, 5].mean(), abs=1e-12)
    assert summary["image_to_text_mean_rank"] == pytest.approx(images.sum(1).mean(), abs=1e-9)
    assert summary["image_to_text_median_rank"] == pytest.approx(np.median(images.sum(1)), abs=1e-9)
    assert found.num_images_without_captions == 5


@settings(deadline=None)
@given(st.data())
def test_order_of_examples_changes_nothing(data: st.DataObject) -> None:
    """Small whole numbers, so that products are exact and many are equal."""
    num_images, num_captions = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 12))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    images, texts = rng.integers(-2, 3, (num_images, 3)), rng.integers(-2, 3, (num_captions, 3))
    owner = rng.integers(0, num_images, num_captions)
    image_order, caption_order = rng.permutation(num_images), rng.permutation(num_captions)
    first = cross_modal_recall(images, texts, owner)
    second = cross_modal_recall(
        images[image_order], texts[caption_order], np.argsort(image_order)[owner[caption_order]]
    )
    for k in (1, 2, 5):
        assert (second.text_to_image.recall(k) == first.text_to_image.recall(k)[caption_order]).all()
        by_image = dict(zip(first.image_to_text.queries, first.image_to_text.recall(k), strict=True))
        queries = image_order[second.image_to_text.queries]
        assert second.image_to_text.recall(k).tolist() == [by_image[image] for image in queries]


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None)
@given(small_matrices())
def test_summary_is_the_mean_of_the_queries(example: tuple[np.ndarray, list[int]]) -> None:
    found = recall_from_scores(*example)
    summary = found.summary((1, 3))
    for name, (queries, scores) in found.per_query((1, 3)).items():
        assert len(queries) == len(scores)
        assert summary[name] == pytest.approx(float(np.mean(scores)), abs=1e-15)


def sorted_recall(similarity: np.ndarray, owner: np.ndarray, k: int) -> tuple[float, float]:
    """Both directions by sorting, where there are no ties."""
    top_images = np.argsort(-similarity, axis=1)[:, :k]
    top_captions = np.argsort(-similarity, axis=0)[:k]
    images = np.unique(owner)
    return float((top_images == owner[:, None]).any(1).mean()), float((owner[top_captions] == images).any(0).mean())


def test_tiles_equal_the_whole(monkeypatch: pytest.MonkeyPatch, device: torch.device) -> None:
    rng = np.random.default_rng(0)
    images, texts = rng.normal(size=(90, 8)), rng.normal(size=(333, 8))
    owner = rng.permutation(np.concatenate([np.arange(90), rng.integers(0, 90, 243)]))
    texts += images[owner]
    placed = torch.tensor(images, device=device)
    whole = cross_modal_recall(placed, texts, owner).summary((1, 5, 10))
    for k in (1, 5, 10):
        text_to_image, image_to_text = sorted_recall(texts @ images.T, owner, k)
        assert whole[f"text_to_image_recall@{k}"] == pytest.approx(text_to_image, abs=1e-12)
        assert whole[f"image_to_text_recall@{k}"] == pytest.approx(image_to_text, abs=1e-12)
    assert 0 < whole["text_to_image_recall@1"] < 1
    for module in (tiles, __import__("mmbench.metrics.retrieval.recall", fromlist=["x"])):
        monkeypatch.setattr(module, "IMAGE_TILE", 32)
        monkeypatch.setattr(module, "CAPTION_TILE", 48)
    assert cross_modal_recall(placed, texts, owner).summary((1, 5, 10)) == whole


def test_collapsed_model_gets_chance(device: torch.device) -> None:
    vector = torch.tensor(np.random.default_rng(1).normal(size=(1, 512)), device=device)
    scores = cross_modal_recall(vector.repeat(1300, 1), vector.repeat(2600, 1), np.arange(2600) // 2)
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


def test_copies_tie_to_the_last_bit(device: torch.device) -> None:
    """A duplicate of the positive is a tie wherever it stands, not above or below by a rounding error."""
    rng = np.random.default_rng(2)
    images = rng.normal(size=(1100, 64))
    images[550:] = images[:550]
    texts = images[:550] + 0.01 * rng.normal(size=(550, 64))
    scores = cross_modal_recall(torch.tensor(images, device=device), texts, np.arange(550))
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


def test_five_galleries(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(5000, 16, generator=generator)
    owner = torch.cat([torch.arange(5000).repeat_interleave(5), torch.arange(0, 5000, 3)])  # some have a sixth caption
    texts = images[owner] + 2 * torch.randn(len(owner), 16, generator=generator)
    found = coco_5x1k(images.to(device), texts.to(device), owner.to(device))
    assert [(each.num_images, each.num_captions) for each in found.galleries] == [(1000, 5000)] * 5
    summary = found.summary()
    by_hand = [
        cross_modal_recall(images[start : start + 1000], texts[5 * start :][:5000], owner[:5000]).summary()
        for start in range(0, 5000, 1000)
    ]
    # On another device the products differ in their last bits.
    expected = {f"coco_5x1k/{name}": np.mean([each[name] for each in by_hand]) for name in by_hand[0]}
    assert summary == pytest.approx(expected, rel=1e-3 if device.type == "cuda" else 1e-12)
    medians = [np.median(gallery.text_to_image.rank()) for gallery in found.galleries]
    assert summary["coco_5x1k/text_to_image_median_rank"] == pytest.approx(np.mean(medians))
    assert len({gallery.summary((5,))["text_to_image_recall@5"] for gallery in found.galleries}) > 1


def test_five_galleries_need_5000_images() -> None:
    with pytest.raises(ValueError, match="5000 images, not 10"):
        coco_5x1k(torch.ones(10, 2), torch.ones(10, 2), torch.arange(10))
    with pytest.raises(ValueError, match="1 captions belong to unknown images, such as caption 0 to image 5000"):
        coco_5x1k(np.ones((5000, 2)), np.ones((1, 2)), [5000])


class TestBadInput:
    def test_nan(self, device: torch.device) -> None:
        with pytest.raises(ValueError, match="NaN"):
            recall_from_scores(torch.full((2, 3), math.nan, device=device), [0, 1])
        with pytest.raises(ValueError, match="NaN"):
            cross_modal_recall(torch.tensor([[math.inf, 1.0]], device=device), torch.zeros(1, 2), [0])
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
