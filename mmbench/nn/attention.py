"""Attention with grouped queries, by one of two kernels that give the same numbers.

Which kernel is faster depends on the device: fused attention on a GPU; on a CPU, for short sequences in bfloat16,
matmul + softmax + matmul, whose backward pass is several times faster. So the kernel is a switch, for all modules.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from mmbench.config.errors import unknown_name

Kernel = Literal["sdpa", "plain"]
"""``sdpa``: ``scaled_dot_product_attention``; ``plain``: matmul, softmax, matmul."""

_kernel: Kernel = "sdpa"


def set_attention_kernel(kernel: Kernel) -> None:
    """Choose the kernel of every attention in this process, also of modules that are built already.

    Raises:
        UserError: there is no such kernel.
    """
    global _kernel
    if kernel not in get_args(Kernel):
        raise unknown_name("attention kernel", kernel, get_args(Kernel))
    _kernel = kernel


def attention_kernel() -> Kernel:
    """The kernel in use."""
    return _kernel


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """Softmax attention of queries over keys, scaled by ``head_dim ** -0.5``.

    A row of the mask that attends to nothing (padding) gets the mean of all values. Its gradient is
    finite too, but differs between the kernels: nothing may depend on such a row.

    Args:
        q: queries ``[B, H, L, Dh]``.
        k: keys ``[B, Hkv, K, Dh]``; ``Hkv`` divides ``H``, and each key head serves ``H / Hkv`` successive query heads.
        v: values ``[B, Hkv, K, Dh]``.
        mask: bool ``[B or 1, 1, L, K]``, True = attend, or the same made additive by `additive_mask`; None = no mask.
        causal: without a mask, query ``i`` attends to keys ``0..i``; needs ``L == K``.

    Returns:
        ``[B, H, L, Dh]``
    """
    batch, num_heads, length, head_dim = q.shape
    num_kv_heads, num_keys = k.shape[1], k.shape[2]
    group = num_heads // num_kv_heads
    if mask is not None:
        mask = additive_mask(mask, q.dtype)
        causal = False
    if _kernel == "sdpa" and group > 1 and (causal or (mask is not None and length > 1)):
        # A mask differs from query to query, so the group cannot be folded into the queries' dimension: repeat the
        # keys. (`enable_gqa` would spare that, but masked kernels of the GPU do not take it, and a slow one steps in.)
        k, v, group = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1), 1
    # Query heads of one key head are rows of one matrix: no copy of keys and values.
    folded = q.reshape(batch, num_heads // group, group * length, head_dim)
    if _kernel == "sdpa":
        out = F.scaled_dot_product_attention(folded, k, v, attn_mask=mask, is_causal=causal)
    else:
        if causal:
            lower = torch.ones(length, num_keys, dtype=torch.bool, device=q.device).tril()
            mask = additive_mask(lower[None, None], q.dtype)
        scores = (folded * head_dim**-0.5) @ k.transpose(-2, -1)
        if mask is not None:
            scores = (scores.view(batch, num_kv_heads, group, length, num_keys) + mask[:, :, None]).view_as(scores)
        out = scores.softmax(-1) @ v
    return out.view(batch, num_heads, length, head_dim)


def additive_mask(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A bool mask (True = attend) as numbers to add to the scores: 0, or a large negative number.

    Finite, so that a row with nothing to attend to gives no NaN. A mask that is additive already is only cast. Models
    make it once and use it in all layers, since an addition costs less than filling, forward and backward.
    """
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, torch.finfo(dtype).min / 2)


def compute_dtype(x: Tensor) -> torch.dtype:
    """The type in which matmuls of ``x`` run: autocast's where it is on, else that of ``x``."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
