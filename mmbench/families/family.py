"""What every image-and-text family shares: one trunk that reads packed rows, captions, answers and embeds.

A family differs in one thing only: how the image reaches the decoder (`Family.see`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from mmbench.data.batch import Batch, Role
from mmbench.families.generation import generate
from mmbench.families.trainee import Losses, Trainee
from mmbench.families.trunk import SEES_IMAGE, Between, PlainRows, Rows, at_role, read_rows, token_losses
from mmbench.metrics.language_model.token_loss import token_loss
from mmbench.nn.contrastive import ContrastiveHead
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import ImageEncoder


@dataclass
class SharedParts:
    """What all systems of a comparison start from, with the same weights."""

    encoder: ImageEncoder
    """Images to tokens."""
    decoder: Decoder
    """The language model."""
    bos_id: int
    """Id that begins every row."""
    eos_id: int
    """Id that ends a caption or an answer."""


@dataclass
class Sight:
    """How a batch of images reaches the decoder; computed once and kept for a whole generation."""

    prefix: Tensor | None = None
    """``[B, N, D]`` image tokens that stand among the text embeddings, after <bos>."""
    contexts: dict[int, tuple[Tensor, Tensor]] | None = None
    """Decoder block -> keys and values of the image for the gated cross-attention before it."""

    def take(self, index: Tensor) -> "Sight":
        """The sight of the images ``index``, repeated or reordered."""
        contexts = self.contexts and {block: (k[index], v[index]) for block, (k, v) in self.contexts.items()}
        return Sight(None if self.prefix is None else self.prefix[index], contexts)


class Family(Trainee):
    """A decoder that sees: trains on packed rows, then captions, answers and embeds.

    Subclasses say how the image comes in: they define ``Config``, ``see``, ``parts`` and, where the image enters
    between blocks, ``between``.
    """

    matched_width: ClassVar[str] = ""
    """The option that says how wide what the family adds is, an ``int | None`` of ``Config``; moved where parameters
    are matched. Empty: nothing can be moved."""

    @dataclass
    class Config:
        """Settings of the family; read from a system's ``options``."""

    def __init__(self, shared: SharedParts, objective_weights: Mapping[str, float], embed_dim: int = 128) -> None:
        super().__init__(objective_weights)
        self.encoder = shared.encoder
        self.decoder = shared.decoder
        self.bos_id = shared.bos_id
        self.eos_id = shared.eos_id
        self.heads = EmbeddingHeads(shared.decoder.config.width, embed_dim)

    def see(self, images: Tensor) -> Sight:
        """What the decoder gets of ``images`` (uint8 ``[B, 3, H, W]``)."""
        raise NotImplementedError(f"{type(self).__name__} must say how the image reaches the decoder")

    def between(self, sight: Sight, sees_image: Tensor) -> Between | None:
        """What happens before each decoder block; None: nothing.

        Args:
            sight: of the batch.
            sees_image: bool ``[B, L]``; positions that do not see the image must come back bit for bit.
        """
        return None

    def parts(self) -> dict[str, nn.Module]:
        """The parts every family has; subclasses add their own."""
        return {"encoder": self.encoder, "language_model": self.decoder, "heads": self.heads}

    # The four questions of the protocol: loss, embed, generate, cost.

    def loss(self, batch: Batch) -> Losses:
        """Next-token losses of captions and answers, and the contrastive loss between images and captions."""
        hidden = self.read(batch, self.see(batch.images))
        losses = self.token_losses(hidden, batch)
        if batch.totals.pairs and self.objective_weights.get("contrastive", 1.0) > 0:
            image, valid = at_role(hidden, batch.roles, Role.IMAGE_QUERY)
            text, _ = at_role(hidden, batch.roles, Role.TEXT_QUERY)
            head, group = self.heads.contrastive, self.training_settings.contrastive_group
            losses.sums["contrastive"], _ = head.loss(head.embed_image(image), head.embed_text(text), valid, group)
        return losses

    def text_nats(self, texts: list[list[int]]) -> Tensor:
        """Mean next-token loss of each text ``[B]``, in nats, read without an image: the text-only ability.

        The first token of a text is not predicted; the end token is.
        """
        rows = PlainRows.of(texts, Role.TEXT, Role.PAD, self.device)
        targets = rows.token_ids.roll(-1, dims=1)
        last = torch.tensor([len(text) - 1 for text in texts], device=self.device)
        targets[torch.arange(len(texts)), last] = self.eos_id
        return token_loss(self.decoder.logits(self.read(rows, Sight())), targets, rows.roles == Role.TEXT).nats

    def embed_images(self, images: Tensor) -> Tensor:
        """uint8 ``[B, 3, H, W]`` to unit vectors ``[B, E]`` of the retrieval space, in float32."""
        rows = PlainRows.of([[]] * len(images), Role.TEXT, Role.IMAGE_QUERY, self.device)
        hidden, _ = at_role(self.read(rows, self.see(images)), rows.roles, Role.IMAGE_QUERY)
        return self.heads.contrastive.embed_image(hidden)

    def embed_texts(self, texts: list[list[int]]) -> Tensor:
        """Token ids of each text to unit vectors ``[B, E]`` of the retrieval space, in float32."""
        rows = PlainRows.of(texts, Role.TEXT, Role.TEXT_QUERY, self.device)
        hidden, _ = at_role(self.read(rows, Sight()), rows.roles, Role.TEXT_QUERY)
        return self.heads.contrastive.embed_text(hidden)

    def generate(
        self, sight: Sight, prompts: list[list[int]], max_new_tokens: int, cached: bool = True
    ) -> list[list[int]]:
        """Greedy continuation of each prompt, one for each image of ``sight``; without the end token.

        ``cached=False`` reads the whole sequence again at every token: slower, for tests and benchmarks.
        """
        return generate(self, sight, prompts, max_new_tokens, cached)

    def cost(self, images: Tensor) -> dict[str, int]:
        """What one image of ``images`` (uint8 ``[B, 3, H, W]``) costs, and the parameters.

        ``image_tokens``: what the encoder makes of it; ``context_tokens``: how many of them, or of what stands for
        them, enter the decoder's context; ``parameters_active``: those that a sample goes through.
        """
        prefix = self.see(images[:1]).prefix
        num_parameters = sum(p.numel() for parameters in self.part_parameters().values() for p in parameters)
        return {
            "image_tokens": self.encoder.num_tokens(images.shape[-1]),
            "context_tokens": 0 if prefix is None else prefix.shape[1],
            "parameters_total": num_parameters,
            "parameters_active": num_parameters,
        }

    # The trunk.

    def prefix(self, sight: Sight, num_rows: int) -> Tensor:
        """``[B, P, D]``: <bos>, then the image tokens if the image comes in that way."""
        bos = self.decoder.embed(torch.full((num_rows, 1), self.bos_id, device=self.device))
        return bos if sight.prefix is None else torch.cat([bos, sight.prefix.to(bos.dtype)], dim=1)

    def read(self, rows: Rows, sight: Sight) -> Tensor:
        """Hidden states ``[B, T, D]`` of the rows' text tokens."""
        sees_image = torch.isin(rows.roles, torch.tensor(SEES_IMAGE, device=rows.roles.device))
        return read_rows(
            self.decoder,
            rows,
            self.prefix(sight, len(rows.token_ids)),
            self.embed_tokens(rows),
            sees_image,
            lambda sees: self.between(sight, sees),
        )

    def embed_tokens(self, rows: Rows) -> Tensor:
        """``[B, T, D]`` token embeddings, with the learned queries where the retrieval embeddings are read."""
        return self.heads.put_queries(self.decoder.embed(rows.token_ids), rows.roles)

    def token_losses(self, hidden: Tensor, batch: Batch) -> Losses:
        """The losses of captions and answers."""
        return token_losses(self.decoder, hidden, batch, {"caption": Role.CAPTION, "answer": Role.ANSWER})


class EmbeddingHeads(nn.Module):
    """Learned queries that stand at the end of a text or after an image, and the projections read from them."""

    def __init__(self, width: int, embed_dim: int) -> None:
        super().__init__()
        self.image_query = nn.Parameter(torch.randn(width) * 0.02)
        self.text_query = nn.Parameter(torch.randn(width) * 0.02)
        self.contrastive = ContrastiveHead(width, width, embed_dim)

    def put_queries(self, tokens: Tensor, roles: Tensor) -> Tensor:
        """``tokens [B, T, D]`` with the learned queries at the positions of the query roles."""
        tokens = torch.where((roles == Role.IMAGE_QUERY)[..., None], self.image_query.to(tokens.dtype), tokens)
        return torch.where((roles == Role.TEXT_QUERY)[..., None], self.text_query.to(tokens.dtype), tokens)
