"""Calibration error equals torchmetrics' away from the edges of bins, and the papers' definition on them.

torchmetrics adds up in float32, which is good for five digits here.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from mmbench.metrics import ExpectedCalibrationError, calibration, top_label


def by_definition(confidences: list[float], correct: list[float], edges: list[float]) -> float:
    """Guo et al. 2017, equations 2 to 5: bins (lower, upper], and 0 in the first one."""
    error = 0.0
    for lower, upper in zip([-1.0, *edges[:-1]], edges, strict=True):
        inside = [i for i, confidence in enumerate(confidences) if lower < confidence <= upper]
        if inside:
            gap = sum(correct[i] for i in inside) - sum(confidences[i] for i in inside)
            error += abs(gap) / len(confidences)
    return error


@pytest.mark.parametrize("num_bins", [1, 10, 15])
def test_equals_torchmetrics(num_bins: int) -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = (3 * torch.randn(2000, 7, generator=generator)).softmax(dim=1)
    labels = torch.where(
        torch.rand(2000, generator=generator) < 0.5,
        probabilities.argmax(dim=1),
        torch.randint(7, (2000,), generator=generator),
    )
    expected = multiclass_calibration_error(probabilities, labels, num_classes=7, n_bins=num_bins, norm="l1")
    found = calibration(*top_label(probabilities, labels), num_bins)
    assert expected > 0.05
    assert found.expected_error == pytest.approx(expected.item(), abs=1e-5)
    assert found.counts.sum() == 2000

    positive, truth = probabilities[:, 0], (labels == 0).long()
    expected = binary_calibration_error(positive, truth, n_bins=num_bins, norm="l1")
    assert calibration(positive, truth, num_bins).expected_error == pytest.approx(expected.item(), abs=1e-5)


def test_where_torchmetrics_differs() -> None:
    """In the papers 1 shares a bin with 0.97, and an edge belongs to the bin below it; NaN is no confidence."""
    confidences, correct = torch.tensor([1.0, 0.97]), torch.tensor([1, 0])
    assert calibration(confidences, correct).expected_error == pytest.approx(0.485)
    assert binary_calibration_error(confidences, correct, n_bins=15) == pytest.approx(0.485)
    confidences, correct = torch.tensor([1.0, 0.97]), torch.tensor([0, 1])
    assert calibration(confidences, correct).expected_error == pytest.approx(0.485)
    assert binary_calibration_error(confidences, correct, n_bins=15) == pytest.approx(0.515)
    confidences, correct = torch.tensor([0.5, 0.25]), torch.tensor([0, 1])
    assert calibration(confidences, correct, num_bins=2).expected_error == pytest.approx(0.125)
    assert binary_calibration_error(confidences, correct, n_bins=2) == pytest.approx(0.625)
    confidences, correct = torch.tensor([0.5, math.nan]), torch.tensor([1, 1])
    assert binary_calibration_error(confidences, correct, validate_args=False).isfinite()
    with pytest.raises(ValueError, match="1 of 2 confidences are NaN and 0 outside"):
        calibration(confidences, correct)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0.0, 1.0])), min_size=1, max_size=40),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_equals_the_definition_on_edges(examples: list[tuple[int, float]], num_bins: int, rng) -> None:
    """Confidences are thirtieths, many of which are edges; their order changes not a bit."""
    confidences, correct = [place / 30 for place, _ in examples], [right for _, right in examples]
    found = calibration(confidences, correct, num_bins)
    rounded = np.float32(confidences).tolist()
    edges = [float(np.float32(edge / num_bins)) for edge in range(1, num_bins + 1)]
    assert found.expected_error == pytest.approx(by_definition(rounded, correct, edges), abs=1e-12)
    rng.shuffle(examples)
    turned = calibration([place / 30 for place, _ in examples], [right for _, right in examples], num_bins)
    assert turned.expected_error == found.expected_error


def test_edges_in_every_precision() -> None:
    """0.2 is the upper edge of the second of ten bins, however it is written."""
    for dtype in (torch.float32, torch.float64):
        found = calibration(torch.tensor([0.2, 0.0, 1.0], dtype=dtype), [1, 0, 1], num_bins=10)
        assert found.counts.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert math.isnan(found.accuracy[2]) and found.confidence[9] == 1.0


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.sampled_from([0.0, 1.0])), min_size=1, max_size=40),
    st.integers(1, 10),
    st.randoms(use_true_random=False),
)
def test_bins_of_equal_mass(examples: list[tuple[float, float]], num_bins: int, rng) -> None:
    confidences, correct = (np.array(column) for column in zip(*examples, strict=True))
    found = calibration(confidences, correct, num_bins, "mass")
    assert found.counts.sum() == len(examples)
    if len(set(confidences)) == len(examples):
        assert found.counts.max() - found.counts.min() <= 1
    assert found.expected_error == pytest.approx(
        by_definition(confidences.tolist(), correct.tolist(), sorted(set(found.upper_edges.tolist()))), abs=1e-9
    )
    rng.shuffle(examples)
    turned = calibration(*zip(*examples, strict=True), num_bins, "mass")
    assert turned.expected_error == found.expected_error


def test_perfect_and_worst() -> None:
    assert calibration([1.0] * 5 + [0.0] * 5, [1] * 5 + [0] * 5).expected_error == 0.0
    assert calibration([1.0] * 5, [0] * 5).expected_error == 1.0


def test_top_label() -> None:
    confidence, correct = top_label(torch.tensor([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.5, 0.25, 0.25]]), [1, 0, 2])
    assert confidence.tolist() == pytest.approx([0.5, 0.4, 0.5])
    assert correct.tolist() == [1.0, 0.5, 0.0]


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(20)), st.integers(1, 20), st.sampled_from(["width", "mass"]))
def test_order_batches_and_repeats_change_nothing(order: list[int], size: int, binning) -> None:
    rng = np.random.default_rng(0)
    confidences, correct = rng.random(20), rng.random(20) < 0.5
    metric = ExpectedCalibrationError(5, binning)
    for start in range(0, 20, size):
        chosen = order[start : start + size]
        metric.update(chosen, confidences[chosen], correct[chosen])
    metric.update(order[:2], confidences[order[:2]], correct[order[:2]])
    expected = calibration(confidences, correct, 5, binning)
    assert metric.compute() == {"expected_calibration_error": expected.expected_error}
    assert metric.num_duplicates == 2
    assert metric.calibration().counts.tolist() == expected.counts.tolist()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="no samples"):
        calibration([], [])
    with pytest.raises(ValueError, match=r"same shape \[N\], not \[2\] and \[3\]"):
        calibration([0.1, 0.2], [1, 0, 1])
    with pytest.raises(ValueError, match=r"0 of 3 confidences are NaN and 2 outside 0\.\.1"):
        calibration([0.1, 1.2, -0.1], [1, 0, 1])
    with pytest.raises(ValueError, match="0 of 1 values of correctness are NaN and 1 outside"):
        calibration([0.1], [2])
    with pytest.raises(ValueError, match="'width' or 'mass', not 0 and 'width'"):
        calibration([0.1], [1], num_bins=0)
    with pytest.raises(ValueError, match="'width' or 'mass', not 15 and 'equal'"):
        ExpectedCalibrationError(binning="equal")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"0 of 4 probabilities are NaN and 1 outside 0\.\.1"):
        top_label([[0.5, 3.0], [0.5, 0.5]], [0, 1])
    with pytest.raises(ValueError, match=r"1 of 2 labels are outside 0\.\.1, such as 2"):
        top_label([[0.5, 0.5], [0.5, 0.5]], [0, 2])
    with pytest.raises(ValueError, match=r"probabilities need the shape \[N, K\], not \[2\]"):
        top_label([0.5, 0.5], [0, 1])
    with pytest.raises(ValueError, match=r"labels have the shape \[1\], but there are 2 rows"):
        top_label([[0.5, 0.5], [0.5, 0.5]], [0])
    metric = ExpectedCalibrationError()
    with pytest.raises(ValueError, match="no samples"):
        metric.compute()
    with pytest.raises(ValueError, match="1 of 1 confidences are NaN"):
        metric.update([1], [math.nan], [1])
    with pytest.raises(ValueError, match="1 ids for 2 examples"):
        metric.update([1], [0.1, 0.2], [1, 1])
    metric.update([1, 1], [0.9, 0.9], [1, 0])
    with pytest.raises(ValueError, match="1 was added twice with different numbers"):
        metric.compute()
