"""The feed-forward of a Transformer block: gated as in Llama, or plain as in CLIP."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["silu", "gelu", "gelu_tanh", "quick_gelu", "relu", "relu2", "linear"]
"""``gelu_tanh`` is GELU's approximation by tanh, ``quick_gelu`` that by a sigmoid (both arXiv 1606.08415); ``relu2``
is the square of ReLU (arXiv 2109.08668); ``linear`` is none."""


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _relu2(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _linear(x: Tensor) -> Tensor:
    return x


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "quick_gelu": _quick_gelu,
    "relu": F.relu,
    "relu2": _relu2,
    "linear": _linear,
}
"""The functions, by name."""


class FeedForward(nn.Module):
    """``down(f(gate(x)) * up(x))`` (arXiv 2002.05202; with SiLU it is SwiGLU), or ``down(f(up(x)))``.

    Gate and up are the two halves of one matrix.
    """

    def __init__(
        self,
        width: int,
        inner_width: int,
        gated: bool = True,
        activation: Activation = "silu",
        bias: bool = False,
        out_width: int | None = None,
    ) -> None:
        super().__init__()
        self.gated = gated
        self.activation = ACTIVATIONS[activation]
        if gated:
            self.gate_up = nn.Linear(width, 2 * inner_width, bias=bias)
        else:
            self.up = nn.Linear(width, inner_width, bias=bias)
        self.down = nn.Linear(inner_width, width if out_width is None else out_width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., D]`` to ``[..., D]``, or to ``[..., out_width]``."""
        if self.gated:
            gate, up = self.gate_up(x).chunk(2, -1)
            out: Tensor = self.down(self.activation(gate) * up)
        else:
            out = self.down(self.activation(self.up(x)))
        return out
