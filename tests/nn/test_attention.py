"""Both attention kernels against each other and against attention written out."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mmbench.config.errors import UserError
from mmbench.nn.attention import Kernel, additive_mask, attend, attention_kernel, compute_dtype, set_attention_kernel

KERNELS: list[Kernel] = ["sdpa", "plain"]


@pytest.fixture(autouse=True)
def _restored_kernel() -> Iterator[None]:
    before = attention_kernel()
    yield
    set_attention_kernel(before)


def _heads(length: int = 7, num_keys: int = 7, num_heads: int = 6, num_kv_heads: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, num_heads, length, 8), (3, num_kv_heads, num_keys, 8), (3, num_kv_heads, num_keys, 8)]
    return [torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes]


def _mask(length: int = 7) -> Tensor:
    """Causal, with as many tokens of left padding as the row's number; padding sees nothing."""
    mask = torch.ones(3, 1, length, length, dtype=torch.bool).tril()
    for row in range(3):
        mask[row, :, :row] = False
        mask[row, :, :, :row] = False
    return mask


def _written_out(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """One query head at a time, each with the key head of its group."""
    heads = []
    for head in range(q.shape[1]):
        key_head = head * k.shape[1] // q.shape[1]
        scores = torch.einsum("bld,bkd->blk", q[:, head], k[:, key_head]) / q.shape[-1] ** 0.5
        heads.append(scores.masked_fill(~mask[:, 0], -1e30).softmax(-1) @ v[:, key_head])
    return torch.stack(heads, 1)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("num_kv_heads", [1, 2, 6])
@pytest.mark.parametrize("additive", [False, True])
def test_equals_attention_written_out(kernel: Kernel, num_kv_heads: int, additive: bool) -> None:
    set_attention_kernel(kernel)
    q, k, v = _heads(num_kv_heads=num_kv_heads)
    mask = _mask()
    out = attend(q, k, v, additive_mask(mask, torch.float32) if additive else mask)
    torch.testing.assert_close(out, _written_out(q, k, v, mask), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_causal_is_the_lower_triangle(kernel: Kernel) -> None:
    set_attention_kernel(kernel)
    q, k, v = _heads()
    lower = torch.ones(3, 1, 7, 7, dtype=torch.bool).tril()
    torch.testing.assert_close(attend(q, k, v, causal=True), _written_out(q, k, v, lower), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("length", "masked"), [(7, True), (7, False), (1, True), (1, False)])
def test_kernels_agree_forward_and_backward(length: int, masked: bool) -> None:
    mask = _mask()[:, :, -length:] if masked else None
    results = []
    for kernel in KERNELS:
        set_attention_kernel(kernel)
        parts = _heads(length=length)
        out = attend(*parts, mask)
        seen = out if mask is None else out[mask.any(-1).expand(out.shape[:3])]
        seen.square().sum().backward()
        results.append([out, *(part.grad for part in parts)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_padding_rows_stay_finite(kernel: Kernel, dtype: torch.dtype) -> None:
    set_attention_kernel(kernel)
    q, k, v = (part.detach().to(dtype).requires_grad_() for part in _heads())
    out = attend(q, k, v, _mask())
    out.float().sum().backward()
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    mean = v[2].mean(1, keepdim=True).repeat_interleave(3, 0).expand(6, 2, 8)
    torch.testing.assert_close(out[2, :, :2], mean, atol=tolerance, rtol=tolerance)
    assert all(part.grad is not None and part.grad.isfinite().all() for part in (q, k, v))


@pytest.mark.parametrize("masked", [True, False])
def test_both_kernels_count_the_same_flops(masked: bool) -> None:
    counts = []
    for kernel in KERNELS:
        set_attention_kernel(kernel)
        with FlopCounterMode(display=False) as counter:
            attend(*_heads(), _mask() if masked else None)
        counts.append(counter.get_total_flops())
    assert counts == [2 * 2 * 3 * 6 * 7 * 7 * 8] * 2


def test_unknown_kernel_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'plain'"):
        set_attention_kernel("plan")  # type: ignore[arg-type]


def test_compute_dtype_follows_autocast() -> None:
    x = torch.zeros(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert compute_dtype(x) == torch.bfloat16
    assert compute_dtype(x) == torch.float32
