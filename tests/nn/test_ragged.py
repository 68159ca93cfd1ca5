"""Sequences of different lengths in one row."""

import torch

from mmbench.nn.ragged import Ragged


def test_split_and_join_are_each_others_inverse() -> None:
    ragged = Ragged(torch.tensor([2, 3, 1]))
    tokens = torch.arange(12.0).view(6, 2)
    rows = ragged.split(tokens)
    assert rows.shape == (3, 3, 2)
    assert ragged.mask is not None
    assert ragged.mask.tolist() == [[True, True, False], [True, True, True], [True, False, False]]
    torch.testing.assert_close(rows[1], tokens[2:5])
    torch.testing.assert_close(rows[0, :2], tokens[:2])
    torch.testing.assert_close(rows[2, 0], tokens[5])
    torch.testing.assert_close(ragged.join(rows), tokens)


def test_gradients_reach_each_token_once() -> None:
    ragged = Ragged(torch.tensor([1, 4]))
    tokens = torch.randn(5, 3, requires_grad=True)
    ragged.join(ragged.split(tokens) * 2).sum().backward()
    torch.testing.assert_close(tokens.grad, torch.full((5, 3), 2.0))


def test_one_length_needs_no_mask_and_no_copy() -> None:
    ragged = Ragged(torch.tensor([2, 2]))
    tokens = torch.randn(4, 3)
    assert ragged.mask is None
    assert ragged.split(tokens).data_ptr() == tokens.data_ptr() == ragged.join(ragged.split(tokens)).data_ptr()
