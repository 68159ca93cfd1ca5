"""The two norms of Transformers, by name, and an RMSNorm that learns as fast on a CPU as on a GPU."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

Norm = Literal["rms", "layer"]
"""``rms``: RMSNorm (arXiv 1910.07467); ``layer``: LayerNorm (arXiv 1607.06450)."""


def build_norm(kind: Norm, width: int, eps: float, bias: bool = True) -> nn.Module:
    """A norm over the last dimension, of so many entries; ``bias`` is LayerNorm's, RMSNorm has none."""
    return RMSNorm(width, eps=eps) if kind == "rms" else nn.LayerNorm(width, eps=eps, bias=bias)


class RMSNorm(nn.RMSNorm):
    """PyTorch's RMSNorm over the last dimension; on a CPU its gradient comes from LayerNorm's fused kernel.

    PyTorch has no fused gradient of RMSNorm there, and takes nine times as long as for LayerNorm's.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``[..., D]`` to the same."""
        weight, eps = self.weight, self.eps
        if x.dtype != weight.dtype:  # under autocast: in the weights' type, as LayerNorm is, then in its own
            return self.forward(x.to(weight.dtype)).to(x.dtype)
        on_cpu = x.device.type == "cpu" and x.dtype == torch.float32
        if _IS_FUSED and on_cpu and eps is not None and torch.is_grad_enabled():
            normed: Tensor = _LearnedOnCPU.apply(x, weight, eps)
            return normed
        return super().forward(x)


_IS_FUSED = hasattr(torch.ops.aten, "_fused_rms_norm")
"""Whether this version of PyTorch has the kernel whose by-product the gradient needs."""


class _LearnedOnCPU(torch.autograd.Function):
    """RMSNorm whose gradient is LayerNorm's of the same values with a mean of 0, and what LayerNorm takes off again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        normed: Tensor
        normed, scale = torch.ops.aten._fused_rms_norm(x, list(weight.shape), weight, eps)
        ctx.save_for_backward(x, weight, scale)
        return normed

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight, scale = ctx.saved_tensors
        wants_x, wants_weight = ctx.needs_input_grad[:2]
        of_x, of_weight, _ = torch.ops.aten.native_layer_norm_backward(
            gradient.contiguous(),
            x,
            list(weight.shape),
            torch.zeros_like(scale),
            scale,
            weight,
            None,
            [wants_x, wants_weight, False],
        )
        if wants_x:
            # LayerNorm's gradient has no mean over the width, since its output does not change with x's mean.
            mean = (gradient @ (weight / weight.numel()))[..., None]
            of_x = of_x.addcmul_(mean, scale)
        return of_x if wants_x else None, of_weight if wants_weight else None, None
