"""A row's random numbers: uniform, independent of the other rows, and others with another seed."""

import torch
from torch import Tensor

from mmbench.nn.row_draws import RowDraws


def _draws(texts: Tensor, seed: int = 0) -> RowDraws:
    return RowDraws(texts, torch.ones_like(texts, dtype=torch.bool), seed)


def test_a_rows_numbers_do_not_depend_on_the_others_or_on_padding() -> None:
    texts = torch.tensor([[3, 4, 5], [6, 7, 0], [8, 0, 0]])
    mask = torch.arange(3) < torch.tensor([[3], [2], [1]])
    together = RowDraws(texts, mask, 5)
    apart = [_draws(texts[i : i + 1, : 3 - i], 5) for i in range(3)]
    for num in (4, 7):
        expected = torch.cat([each.uniform(num) for each in apart])
        assert torch.equal(together.uniform(num), expected)


def test_more_numbers_begin_with_the_same() -> None:
    texts = torch.tensor([[3, 4]])
    assert torch.equal(_draws(texts).uniform(9)[:, :4], _draws(texts).uniform(4))


def test_uniform_and_uncorrelated() -> None:
    draws = _draws(torch.arange(20_000)[:, None])
    first, second = draws.uniform(6), draws.uniform(6)
    for values in (first, second):
        assert float(values.min()) >= 0 and float(values.max()) < 1
        counts = torch.histc(values, bins=20, min=0, max=1)
        expected = values.numel() / 20
        assert float(((counts - expected) ** 2 / expected).sum()) < 43.8, "chi-square of 19 degrees at 0.001"
    columns = torch.corrcoef(torch.cat([first, second], dim=1).T) - torch.eye(12)
    assert float(columns.abs().max()) < 4 / 20_000**0.5
    neighbours = torch.corrcoef(torch.stack([first[:-1, 0], first[1:, 0]]))[0, 1]
    assert abs(float(neighbours)) < 4 / 20_000**0.5


def test_seed_text_and_order_of_words_each_matter() -> None:
    base = _draws(torch.tensor([[3, 4]])).uniform(4)
    for other in (_draws(torch.tensor([[3, 4]]), 1), _draws(torch.tensor([[3, 5]])), _draws(torch.tensor([[4, 3]]))):
        assert not torch.equal(other.uniform(4), base)
