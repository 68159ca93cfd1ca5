"""RMSNorm against PyTorch's: the same values, and on a CPU the same gradient by another way."""

import pytest
import torch
from torch import nn

from mmbench.nn.norms import RMSNorm


@pytest.mark.parametrize("shape", [(3, 5, 32), (2, 4, 6, 8), (7, 1), (0, 4, 8)])
@pytest.mark.parametrize("transposed", [False, True])
def test_values_and_gradients_are_pytorchs(shape: tuple[int, ...], transposed: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape) * 3 + 1
    x = (x.transpose(0, 1) if transposed and len(shape) > 2 else x).requires_grad_()
    ours, theirs = RMSNorm(shape[-1], eps=1e-3), nn.RMSNorm(shape[-1], eps=1e-3)
    ours.weight.data.normal_()
    theirs.load_state_dict(ours.state_dict())
    out, expected = ours(x), theirs(x)
    assert torch.equal(out, expected)
    gradient = torch.randn_like(out)
    for one, other in zip(
        torch.autograd.grad(out, (x, ours.weight), gradient),
        torch.autograd.grad(expected, (x, theirs.weight), gradient),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("frozen", ["input", "weight"])
def test_what_is_frozen_gets_no_gradient(frozen: str) -> None:
    x, norm = torch.randn(2, 3, 8, requires_grad=frozen != "input"), RMSNorm(8, eps=1e-5)
    norm.weight.requires_grad_(frozen != "weight")
    norm(x).square().sum().backward()
    assert (x.grad is None) == (frozen == "input")
    assert (norm.weight.grad is None) == (frozen == "weight")


def test_other_types_are_left_to_pytorch() -> None:
    x = torch.randn(2, 8, dtype=torch.float64, requires_grad=True)
    norm = RMSNorm(8, eps=1e-5).double()
    assert torch.autograd.gradcheck(norm, x)
