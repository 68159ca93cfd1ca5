"""Blind: the same language model with the image withheld; what a system must beat to have learned to see."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from mmbench.data.batch import Batch
from mmbench.families.family import SharedParts, Task
from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.families.sight import Sight
from mmbench.families.trainee import Losses
from mmbench.families.trunk import Rows


class Blind(SeeingDecoder):
    """The decoder alone."""

    learned_by: ClassVar[Mapping[Task, tuple[str, str]]] = {}
    objectives: ClassVar[tuple[str, ...]] = ("caption", "answer")

    @dataclass
    class Config:
        """A blind system has nothing to set."""

    def __init__(self, config: Config, shared: SharedParts, objective_weights: Mapping[str, float]) -> None:
        super().__init__(shared, objective_weights)
        del self.encoder, self.heads

    @property
    def size_step(self) -> int:
        """Any size will do."""
        return 1

    def see(self, images: Tensor, sizes: Tensor | None = None) -> Sight:
        """Nothing."""
        return Sight()

    def parts(self) -> dict[str, nn.Module]:
        """The language model."""
        return {"language_model": self.decoder}

    def loss(self, batch: Batch) -> Losses:
        """The token losses; there is no image to tell from another."""
        losses = self.token_losses(self.read(batch, Sight()), batch)
        losses.sums |= self.balance_losses()
        return losses

    def cost(self, images: Tensor, sizes: Tensor | None = None) -> dict[str, int]:
        """No image tokens."""
        return {"image_tokens": 0, "context_tokens": 0, **self.parameter_counts()}

    def embed_tokens(self, rows: Rows) -> Tensor:
        """Token embeddings; no queries are read."""
        return self.decoder.embed(rows.token_ids)

    def embed_images(self, images: Tensor, sizes: Tensor | None = None) -> Tensor:
        """The same vector for every image: all tie, so that Recall@K is chance, exactly."""
        return torch.ones(len(images), 1, device=self.device)

    def embed_texts(self, texts: list[list[int]]) -> Tensor:
        """The same vector for every text."""
        return torch.ones(len(texts), 1, device=self.device)
