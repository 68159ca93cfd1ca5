"""Every place of the grid has a vector of its own; half of it says the row, half the column."""

import math

import pytest
import torch

from mmbench.nn.sine_positions import sine_positions


def test_half_says_the_row_and_half_the_column() -> None:
    grid = sine_positions(3, 5, 16).view(3, 5, 16)
    assert torch.equal(grid[:, :1, :8].expand(-1, 5, -1), grid[..., :8])
    assert torch.equal(grid[:1, :, 8:].expand(3, -1, -1), grid[..., 8:])
    assert torch.equal(grid[2, 0, :8], grid[0, 2, 8:])
    distances = torch.cdist(grid.flatten(0, 1), grid.flatten(0, 1)) + torch.eye(15)
    assert bool((distances > 0.1).all())


def test_first_values_by_hand() -> None:
    place = sine_positions(2, 3, 8)[1 * 3 + 2]
    by_hand = [math.sin(1), math.sin(0.01), math.cos(1), math.cos(0.01)]
    by_hand += [math.sin(2), math.sin(0.02), math.cos(2), math.cos(0.02)]
    assert place.tolist() == pytest.approx(by_hand, abs=1e-6)


def test_a_width_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        sine_positions(2, 2, 6)
