"""Rotary positions in the plane."""

from typing import Any

import pytest
import torch

from mmbench.nn.rotary import rotate
from mmbench.nn.rotary_2d import rotary_tables_2d


def _turned(x: torch.Tensor, row: int, column: int, **changed: Any) -> torch.Tensor:
    options = {"head_dim": 8, "theta": 10.0, "frequencies": "shared", "dtype": torch.float32, **changed}
    return rotate(x[None, None], rotary_tables_2d(torch.tensor([[row, column]]), **options))[0, 0]


@pytest.mark.parametrize("frequencies", ["shared", "staggered"])
def test_products_depend_on_the_differences_of_rows_and_columns_only(frequencies: str) -> None:
    q, k = torch.randn(2, 8).unbind()

    def product(a: tuple[int, int], b: tuple[int, int]) -> torch.Tensor:
        return _turned(q, *a, frequencies=frequencies) @ _turned(k, *b, frequencies=frequencies)

    torch.testing.assert_close(product((1, 5), (3, 2)), product((4, 9), (6, 6)))
    assert not torch.allclose(product((1, 5), (3, 2)), product((1, 5), (3, 3)))
    assert not torch.allclose(product((1, 5), (3, 2)), product((1, 5), (2, 2)))


def test_the_first_quarter_turns_with_the_row_and_the_second_with_the_column() -> None:
    x = torch.ones(8)
    assert (_turned(x, 3, 0) != x).tolist() == [True, True, False, False] * 2
    assert (_turned(x, 0, 3) != x).tolist() == [False, False, True, True] * 2


def test_frequencies() -> None:
    x = torch.tensor([1.0] * 4 + [0.0] * 4)  # so that the turned first half holds the cosines
    rows, columns = 10.0 ** -torch.tensor([0, 1 / 2]), 10.0 ** -torch.tensor([1 / 4, 3 / 4])
    torch.testing.assert_close(_turned(x, 1, 1)[:4], torch.cat((rows, rows)).cos())
    torch.testing.assert_close(_turned(x, 1, 1, frequencies="staggered")[:4], torch.cat((rows, columns)).cos())
