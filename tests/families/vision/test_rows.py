"""Pieces of several views in the rows of their images."""

import torch

from mmbench.families.vision.rows import in_rows


def test_pieces_stand_one_after_another_in_their_images_rows() -> None:
    first = torch.arange(1.0, 7).view(3, 2, 1)  # three views of two tokens
    second = torch.tensor([[[7.0]], [[8.0]]])
    row = in_rows([first, second], [[0, 1, 1], [0, 1]], 2)
    assert row.values[..., 0].tolist() == [[1, 2, 7, 0, 0], [3, 4, 5, 6, 8]]
    assert row.mask is not None
    assert row.mask.tolist() == [[True, True, True, False, False], [True] * 5]
    assert [column.tolist() for column in row.columns] == [[[0, 1], [0, 1], [2, 3]], [[2], [4]]]


def test_rows_of_one_length_have_no_mask_and_are_not_copied() -> None:
    piece = torch.randn(4, 3, 2)
    row = in_rows([piece], [[0, 0, 1, 1]], 2)
    assert row.mask is None
    assert torch.equal(row.values, piece.view(2, 6, 2))
    assert row.values.data_ptr() == piece.data_ptr()
    apart = in_rows([piece[:2], piece[2:]], [[0, 0], [1, 1]], 2)
    assert torch.equal(apart.values, row.values)


def test_images_in_another_order() -> None:
    piece = torch.tensor([[[1.0]], [[2.0]]])
    assert in_rows([piece], [[1, 0]], 2).values.flatten().tolist() == [2, 1]


def test_gradients_reach_every_piece() -> None:
    pieces = [torch.randn(2, 3, 1, requires_grad=True), torch.randn(1, 2, 1, requires_grad=True)]
    in_rows(pieces, [[0, 1], [1]], 2).values.sum().backward()
    assert all(piece.grad is not None and bool((piece.grad == 1).all()) for piece in pieces)
