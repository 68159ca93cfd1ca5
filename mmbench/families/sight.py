"""How a batch of images reaches a decoder: what a family makes of them once, and keeps for a whole generation."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

Contexts = dict[int, tuple[Tensor, Tensor]]
"""Decoder block -> keys and values ``[B, Hkv, M, Dh]`` for the gated cross-attention before it."""


@dataclass
class Sight:
    """What the decoder gets of B images; all empty where the image is withheld."""

    prefix: Tensor | None = None
    """``[B, N, D]``: what stands among the text after <bos> (image tokens, tags, breaks), padded at the end."""
    prefix_mask: Tensor | None = None
    """bool ``[B, N]``, False where the prefix is padding; None: none of it is."""
    prefix_positions: Tensor | None = None
    """int64 ``[B, N]``, or ``[B, N, 3]`` (time, height, width): rotary positions of the prefix; None: 1, 2, …"""
    text_start: Tensor | None = None
    """int64 ``[B]``: position of the first token that sees the image; None: the one after the prefix's last."""
    contexts: Contexts | None = None
    """Keys and values of the image for each gated layer."""
    context_mask: Tensor | None = None
    """bool ``[B, M]``, False where the context is padding; None: none of it is."""
    prefix_reach: Tensor | None = None
    """bool ``[B, N, M]``: what of the context each prefix token attends to (a tile's tag: that tile); None: nothing."""

    @property
    def is_empty(self) -> bool:
        """Whether there is no image."""
        return self.prefix is None and not self.contexts

    def take(self, index: Tensor) -> "Sight":
        """The sight of the images ``index``, repeated or reordered."""
        if self.is_empty:
            return self
        tensors = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "contexts"}
        taken = {name: None if value is None else value[index] for name, value in tensors.items()}
        contexts = self.contexts and {block: (k[index], v[index]) for block, (k, v) in self.contexts.items()}
        return Sight(**taken, contexts=contexts)

    def starts(self, num_rows: int, device: torch.device) -> Tensor:
        """int64 ``[num_rows]``: where the text of each row starts."""
        if self.text_start is not None:
            return self.text_start
        if self.prefix is None:
            return torch.ones(num_rows, dtype=torch.int64, device=device)
        if self.prefix_mask is not None:
            return 1 + self.prefix_mask.sum(dim=1)
        return torch.full((num_rows,), 1 + self.prefix.shape[1], dtype=torch.int64, device=device)
