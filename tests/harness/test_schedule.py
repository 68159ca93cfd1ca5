"""The learning rate's rise and fall."""

import pytest

from mmbench.harness.schedule import schedule_factor


@pytest.mark.parametrize(
    ("fraction", "factor"),
    [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.55, 0.6), (1.0, 0.2), (1.3, 0.2), (-0.1, 0.0)],
)
def test_rises_then_falls_along_a_cosine(fraction: float, factor: float) -> None:
    assert schedule_factor(fraction, warmup_share=0.1, end_factor=0.2) == pytest.approx(factor)


def test_without_a_rise_it_begins_at_the_peak() -> None:
    assert schedule_factor(0.0, warmup_share=0.0, end_factor=0.05) == 1.0
