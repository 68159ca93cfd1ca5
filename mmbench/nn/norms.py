"""The two norms of Transformers, by name."""

from typing import Literal

from torch import nn

Norm = Literal["rms", "layer"]
"""``rms``: RMSNorm (arXiv 1910.07467); ``layer``: LayerNorm (arXiv 1607.06450)."""


def build_norm(kind: Norm, width: int, eps: float, bias: bool = True) -> nn.Module:
    """A norm over the last dimension, of so many entries; ``bias`` is LayerNorm's, RMSNorm has none."""
    return nn.RMSNorm(width, eps=eps) if kind == "rms" else nn.LayerNorm(width, eps=eps, bias=bias)
