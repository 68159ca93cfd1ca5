"""Rotary positions: frequencies by their formulas, partial turning, and positions of three columns."""

import math

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.nn.rotary import RopeScaling, rotary_frequencies, rotary_tables, rotate


def _tables(positions: list[float], dim: int = 8, **more: object) -> tuple[torch.Tensor, torch.Tensor]:
    return rotary_tables(torch.tensor([positions]), dim, 100.0, torch.float32, **more)  # type: ignore[arg-type]


def test_frequencies_fall_from_one() -> None:
    torch.testing.assert_close(rotary_frequencies(8, 10000.0), torch.tensor([1.0, 0.1, 0.01, 0.001]))


def test_linear_scaling_divides_the_positions() -> None:
    scaled = _tables([0, 4, 8], scaling=RopeScaling("linear", 4.0))
    for one, other in zip(scaled, _tables([0, 1, 2]), strict=True):
        torch.testing.assert_close(one, other)


def test_llama3_divides_the_low_frequencies_and_keeps_the_high_ones() -> None:
    scaling = RopeScaling("llama3", 8.0, low_frequency_factor=1.0, high_frequency_factor=4.0, original_max_positions=64)
    plain, scaled = rotary_frequencies(64, 10000.0), rotary_frequencies(64, 10000.0, scaling)
    turns = plain * 64 / (2 * math.pi)
    assert torch.equal(scaled[turns > 4], plain[turns > 4])
    torch.testing.assert_close(scaled[turns < 1], plain[turns < 1] / 8)
    between = (turns > 1) & (turns < 4)
    assert between.sum() > 2
    assert (scaled[between] < plain[between]).all()
    assert (scaled[between] > plain[between] / 8).all()
    assert (scaled.diff() < 0).all()


def test_heads_keep_their_length_and_angles_are_relative() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 5, 3, 8)
    here, there = _tables([0, 1, 2, 3, 4]), _tables([7, 8, 9, 10, 11])
    torch.testing.assert_close(rotate(q, here).norm(dim=-1), q.norm(dim=-1))
    scores = [torch.einsum("blhd,bmhd->bhlm", rotate(q, table), rotate(k, table)) for table in (here, there)]
    torch.testing.assert_close(*scores)


def test_what_does_not_turn_passes() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 2, 12)
    turned = rotate(x, _tables([0, 1, 2], dim=8))
    assert torch.equal(turned[..., 8:], x[..., 8:])
    assert torch.equal(turned[..., :8], rotate(x[..., :8], _tables([0, 1, 2], dim=8)))
    assert not torch.equal(turned[:, 1:, :, :8], x[:, 1:, :, :8])


def test_each_section_turns_with_its_column() -> None:
    positions = torch.tensor([[[3, 5, 7], [2, 2, 2]]])
    cos, _ = rotary_tables(positions, 8, 100.0, torch.float32, sections=[1, 1, 2])
    frequencies = rotary_frequencies(8, 100.0)
    torch.testing.assert_close(cos[0, 0, 0], (torch.tensor([3.0, 5.0, 7.0, 7.0]) * frequencies).cos())
    plain, _ = rotary_tables(positions[:, :, 0], 8, 100.0, torch.float32)
    assert torch.equal(cos[0, 1], plain[0, 1])


def test_three_columns_need_sections() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 2, 3\), but the decoder has no mrope_sections"):
        rotary_tables(torch.zeros(1, 2, 3, dtype=torch.long), 8, 100.0, torch.float32)


@pytest.mark.parametrize("given", [{"factor": 0.0}, {"kind": "llama3", "low_frequency_factor": 4.0}])
def test_factors_that_make_no_sense(given: dict[str, float]) -> None:
    with pytest.raises(UserError, match="must be positive, and the second less"):
        RopeScaling(**given)  # type: ignore[arg-type]
