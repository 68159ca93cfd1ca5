"""Zero-shot accuracy equals brute force over all orders of ties; prompts are averaged as CLIP does."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.metrics import ZeroShotAccuracy, class_embeddings, zero_shot_accuracy, zero_shot_ranks

AXES = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])


def brute_force(scores: np.ndarray, label: int, k: int) -> dict[str, float]:
    """By the definition: all orders of the classes that respect the scores."""
    orders = [
        order
        for order in itertools.permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    hits = [label in order[:k] for order in orders]
    return {"expected": float(np.mean(hits)), "optimistic": float(max(hits)), "pessimistic": float(min(hits))}


@st.composite
def tied(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Images and classes on the axes of space, or at its origin: cosines are exactly 0, 1 or -1."""
    point = st.sampled_from([*AXES, *-AXES, np.zeros(3)])
    classes = np.array([draw(point) for _ in range(draw(st.integers(1, 5)))])
    images = np.array([draw(point) for _ in range(draw(st.integers(1, 4)))])
    return images, classes, [draw(st.integers(0, len(classes) - 1)) for _ in images]


@settings(deadline=None, max_examples=100)
@given(tied(), st.integers(1, 5))
@pytest.mark.filterwarnings("ignore:top-")
def test_equals_brute_force(example: tuple[np.ndarray, np.ndarray, list[int]], k: int) -> None:
    images, classes, labels = example
    for ties in ("expected", "optimistic", "pessimistic"):
        found = zero_shot_accuracy(images, classes, labels, k, ties)  # type: ignore[arg-type]
        for image, label, value in zip(images, labels, found, strict=True):
            assert value == pytest.approx(brute_force(classes @ image, label, k)[ties], abs=1e-12)


def clouds(num_images: int = 300, num_classes: int = 20, num_prompts: int = 4) -> tuple[torch.Tensor, ...]:
    """Images near the mean of their class's prompts: [N, D], [K, P, D], [N]."""
    generator = torch.Generator().manual_seed(0)
    prompts = torch.randn(num_classes, num_prompts, 16, generator=generator)
    prompts = prompts * torch.tensor([0.1, 1, 5, 30])[:num_prompts, None]  # the lengths must not count
    labels = torch.randint(num_classes, (num_images,), generator=generator)
    images = prompts[labels, 1] + 2 * torch.randn(num_images, 16, generator=generator)
    return images, prompts, labels


@pytest.mark.parametrize("k", [1, 5])
def test_equals_sorting(k: int) -> None:
    images, prompts, labels = clouds()
    units = prompts.double().numpy() / np.linalg.norm(prompts.double().numpy(), axis=-1, keepdims=True)
    classes = units.mean(axis=1)
    classes /= np.linalg.norm(classes, axis=-1, keepdims=True)
    nearest = np.argsort(-(images.double().numpy() @ classes.T), axis=1)[:, :k]
    expected = (nearest == labels.numpy()[:, None]).any(axis=1).mean()
    found = zero_shot_accuracy(images, prompts, labels, k)
    assert 0.2 < expected < 0.95
    assert found.mean() == pytest.approx(expected, abs=1e-12)
    assert zero_shot_accuracy(7 * images.half(), classes, labels.numpy(), k).mean() == pytest.approx(expected, abs=0.01)


def test_class_embeddings() -> None:
    one = torch.tensor([[[3.0, 0.0], [0.0, 0.5]]])
    torch.testing.assert_close(class_embeddings(one), torch.tensor([[0.5, 0.5]]).sqrt())
    torch.testing.assert_close(class_embeddings(one[0]), torch.eye(2))


def test_collapsed_model_has_the_accuracy_of_chance() -> None:
    metric = ZeroShotAccuracy(torch.ones(10, 4))
    metric.update(range(6), torch.ones(6, 4), [0, 1, 2, 3, 4, 9])
    with pytest.warns(UserWarning, match="ties decide zero_shot_accuracy@"):
        found = metric.compute()
    assert found["zero_shot_accuracy@1"] == pytest.approx(0.1)
    assert found["zero_shot_accuracy@5"] == pytest.approx(0.5)
    assert (found["zero_shot_accuracy@1/optimistic"], found["zero_shot_accuracy@1/pessimistic"]) == (1.0, 0.0)


def test_more_places_than_classes() -> None:
    metric = ZeroShotAccuracy(torch.eye(3))
    metric.update(["a", "b"], torch.eye(3)[:2], [1, 2])
    with pytest.warns(UserWarning, match="top-5 accuracy is 1: there are only 3 classes"):
        assert metric.compute()["zero_shot_accuracy@5"] == 1.0
    with pytest.warns(UserWarning, match="top-5 accuracy is 1: there are only 3 classes"):
        assert zero_shot_accuracy(torch.eye(3)[:2], torch.eye(3), [1, 2], k=5).tolist() == [1.0, 1.0]


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(30)), st.integers(1, 30))
def test_order_batches_and_repeats_change_nothing(order: list[int], size: int) -> None:
    images, prompts, labels = clouds(30)
    whole, parts = ZeroShotAccuracy(prompts), ZeroShotAccuracy(prompts)
    whole.update(range(30), images, labels)
    for start in range(0, 30, size):
        chosen = order[start : start + size]
        parts.update(chosen, images[chosen], labels[chosen])
    parts.update(order[:2], images[order[:2]], labels[order[:2]])
    assert parts.compute() == whole.compute()
    assert parts.num_duplicates == 2
    assert parts.per_example() == whole.per_example()
    expected = zero_shot_accuracy(images, prompts, labels, k=5)
    assert list(whole.per_example(k=5).values()) == expected.tolist()
    assert whole.compute()["zero_shot_accuracy@5"] == pytest.approx(expected.mean(), abs=1e-12)


def test_repeat_in_another_precision_is_no_contradiction() -> None:
    images, prompts, labels = clouds(30)
    found = []
    for first, second in ((images, images.bfloat16()), (images.bfloat16(), images)):
        metric = ZeroShotAccuracy(prompts)
        metric.update(range(30), first, labels)
        metric.update(range(30), second, labels)
        found.append(metric.compute())
        assert metric.num_duplicates == 30
    assert found[0] == found[1]


def test_bad_input() -> None:
    images, prompts, labels = clouds(4)
    with pytest.raises(ValueError, match=r"text embeddings need the shape \[K, D\] or \[K, P, D\], not \[16\]"):
        class_embeddings(prompts[0, 0])
    with pytest.raises(ValueError, match=r"text embeddings need the shape .* not \[20, 0, 16\]"):
        class_embeddings(prompts[:, :0])
    with pytest.raises(ValueError, match=r"image embeddings need the shape \[N, D\] .* D = 16, not \[4, 8\]"):
        zero_shot_ranks(images[:, :8], prompts, labels)
    with pytest.raises(ValueError, match=r"labels have the shape \[3\], but there are 4 images"):
        zero_shot_ranks(images, prompts, labels[:3])
    with pytest.raises(ValueError, match=r"2 of 4 labels are outside 0\.\.19, such as 20"):
        zero_shot_ranks(images, prompts, [0, 20, 1, -1])
    with pytest.raises(ValueError, match=r"labels are of type torch\.float32"):
        zero_shot_ranks(images, prompts, labels.float())
    with pytest.raises(ValueError, match="no samples"):
        zero_shot_ranks(images[:0], prompts, [])
    with pytest.raises(ValueError, match="2 of 4 image embeddings hold NaN or infinite numbers"):
        zero_shot_ranks(images.index_fill(0, torch.tensor([1, 2]), torch.nan), prompts, labels)
    with pytest.raises(ValueError, match="4 of 80 text embeddings hold NaN"):
        class_embeddings(prompts.index_fill(0, torch.tensor([7]), torch.inf))
    with pytest.raises(ValueError, match="K of at least 1"):
        zero_shot_accuracy(images, prompts, labels, k=0)
    metric = ZeroShotAccuracy(prompts)
    with pytest.raises(ValueError, match="no samples"):
        metric.compute()
    with pytest.raises(ValueError, match=r"shape \[n, 16\], as the classes', not \[4, 8\]"):
        metric.update(range(4), images[:, :8], labels)
    with pytest.raises(ValueError, match="3 ids for 4 examples"):
        metric.update(range(3), images, labels)
    metric.update([1], images[:1], [3])
    metric.update([1], images[:1], [4])
    with pytest.raises(ValueError, match="1 was added twice with different numbers"):
        metric.compute()
