"""What every family with a decoder shares: it trains on packed rows, then captions, answers, weighs texts and embeds.

Such a family differs from the others in one thing only: how the image reaches the decoder (`SeeingDecoder.see`).
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from mmbench.config.model import LoraSettings
from mmbench.data.batch import Batch, Role
from mmbench.families.embedding_heads import EmbeddingHeads
from mmbench.families.family import Family, SharedParts, Task
from mmbench.families.generation import generate
from mmbench.families.likelihood import log_likelihoods
from mmbench.families.sight import Sight
from mmbench.families.trainee import Losses
from mmbench.families.trunk import SEES_IMAGE, Between, PlainRows, Rows, at_role, read_rows, token_losses
from mmbench.metrics.language_model.token_loss import token_loss
from mmbench.nn.lora import Adapters, add_lora


class SeeingDecoder(Family):
    """A language model that sees.

    Subclasses say how the image comes in: they define ``Config``, ``see``, ``parts`` and, where the image enters
    between blocks, ``between``.
    """

    tasks: ClassVar[frozenset[Task]] = frozenset(("caption", "answer", "choose", "match", "retrieve", "rerank", "text"))
    learned_by: ClassVar[Mapping[Task, tuple[str, str]]] = {"retrieve": ("heads", "contrastive")}
    may_be_new: ClassVar[frozenset[str]] = frozenset(("heads", "lora"))
    can_withhold: ClassVar[frozenset[str]] = frozenset(("image",))
    objectives: ClassVar[tuple[str, ...]] = ("caption", "answer", "contrastive")

    def __init__(self, shared: SharedParts, objective_weights: Mapping[str, float], embed_dim: int = 128) -> None:
        super().__init__(shared, objective_weights)
        self.encoder = shared.encoder
        self.decoder = shared.decoder
        self.caption_prompt = shared.caption_prompt
        self.heads = EmbeddingHeads(shared.decoder.config.width, embed_dim)
        self.lora: Adapters | None = None

    def see(self, images: Tensor, sizes: Tensor | None = None) -> Sight:
        """What the decoder gets of the images."""
        raise NotImplementedError(f"{type(self).__name__} must say how the image reaches the decoder")

    def see_nothing(self, num: int) -> Sight:
        """No prefix and no context: the decoder reads text alone."""
        return Sight()

    def between(self, sight: Sight, sees_image: Tensor, num_prefix: int) -> Between | None:
        """What happens before each decoder block; None: nothing.

        Args:
            sight: of the batch.
            sees_image: bool ``[B, L]``; text that does not see the image must come back bit for bit.
            num_prefix: how many of the L positions, from the first, are <bos> and the sight's prefix; 0 where tokens
                are read after them.
        """
        return None

    def parts(self) -> dict[str, nn.Module]:
        """The parts every such family has; subclasses add their own."""
        lora = {} if self.lora is None else {"lora": self.lora}
        return {"encoder": self.encoder, "language_model": self.decoder, "heads": self.heads, **lora}

    def trained_by(self, names: list[str]) -> list[str]:
        """Where the language model has adapters, ``all`` means them in its place."""
        trained = super().trained_by(names)
        return [name for name in trained if self.lora is None or name != "language_model" or name in names]

    def adapt(self, lora: LoraSettings) -> None:
        """Give the language model low-rank adapters, which are a part of their own.

        Raises:
            UserError: the language model has no such matrices.
        """
        self.lora = add_lora(self.decoder, lora.rank, lora.alpha, lora.targets)

    # Learning.

    def loss(self, batch: Batch) -> Losses:
        """Next-token losses of captions and answers, and the contrastive loss between images and captions."""
        withheld = self.withheld("image", batch)
        hidden = self.read(batch, self.see(batch.images, batch.sizes), withheld)
        losses = self.token_losses(hidden, batch)
        losses.sums |= self.balance_losses()
        if batch.totals.pairs and self.objective_weights.get("contrastive", 1.0) > 0:
            image, valid = at_role(hidden, batch.roles, Role.IMAGE_QUERY)
            text, _ = at_role(hidden, batch.roles, Role.TEXT_QUERY)
            valid = valid if withheld is None else valid & ~withheld
            head, group = self.heads.contrastive, self.training_settings.contrastive_group
            losses.sums["contrastive"], _ = head.loss(head.embed_image(image), head.embed_text(text), valid, group)
        return losses

    def token_losses(self, hidden: Tensor, batch: Batch) -> Losses:
        """The losses of captions and answers."""
        return token_losses(self.decoder, hidden, batch, {"caption": Role.CAPTION, "answer": Role.ANSWER})

    def balance_losses(self) -> dict[str, Tensor]:
        """What keeps a mixture of experts in balance, of what was just read, summed over the rows; {} without one."""
        return {name: of_rows.sum() for name, of_rows in self.decoder.auxiliary_losses().items()}

    # The tasks.

    def generate(
        self, sight: Sight, prompts: list[list[int]], max_new_tokens: int, cached: bool = True
    ) -> list[list[int]]:
        """Greedy continuation of each prompt, one for each image of ``sight``; without the end token.

        ``cached=False`` reads the whole sequence again at every token: slower, for tests and benchmarks.
        """
        return generate(self, sight, prompts, max_new_tokens, cached)

    def caption(self, sight: Sight, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """The greedy continuation."""
        return self.generate(sight, prompts, max_new_tokens)

    def answer(self, sight: Sight, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """The greedy continuation."""
        return self.generate(sight, prompts, max_new_tokens)

    def choice_scores(self, sight: Sight, prompts: list[list[int]], choices: list[list[list[int]]]) -> list[Tensor]:
        """The log-probability of each choice, its end included; one row holds all choices of a prompt."""
        texts = [[(prompt, choice) for choice in given] for prompt, given in zip(prompts, choices, strict=True)]
        return log_likelihoods(self, sight, texts)

    def log_likelihood(self, sight: Sight, prompts: list[list[int]], texts: list[list[int]]) -> Tensor:
        """The decoder's log-probability of each text after its prompt, ``[B]``."""
        each = [[(prompt, text)] for prompt, text in zip(prompts, texts, strict=True)]
        return torch.cat(log_likelihoods(self, sight, each))

    def match_scores(self, sight: Sight, texts: list[list[int]]) -> Tensor:
        """How much likelier the image makes each caption: the difference of its log-probabilities, with and without."""
        prompts = [self.caption_prompt] * len(texts)
        seen = self.log_likelihood(sight, prompts, texts)
        return seen - self.log_likelihood(self.see_nothing(len(texts)), prompts, texts)

    def embed_images(self, images: Tensor, sizes: Tensor | None = None) -> Tensor:
        """What the decoder makes of a learned query after the image."""
        rows = PlainRows.of([[]] * len(images), Role.TEXT, Role.IMAGE_QUERY, self.device)
        hidden, _ = at_role(self.read(rows, self.see(images, sizes)), rows.roles, Role.IMAGE_QUERY)
        return self.heads.contrastive.embed_image(hidden)

    def embed_texts(self, texts: list[list[int]]) -> Tensor:
        """What the decoder makes of a learned query after the text."""
        rows = PlainRows.of(texts, Role.TEXT, Role.TEXT_QUERY, self.device)
        hidden, _ = at_role(self.read(rows, Sight()), rows.roles, Role.TEXT_QUERY)
        return self.heads.contrastive.embed_text(hidden)

    def text_nats(self, texts: list[list[int]]) -> Tensor:
        """Mean next-token loss of each text ``[B]``: the text-only ability."""
        rows = PlainRows.of(texts, Role.TEXT, Role.PAD, self.device)
        targets = rows.token_ids.roll(-1, dims=1)
        last = torch.tensor([len(text) - 1 for text in texts], device=self.device)
        targets[torch.arange(len(texts)), last] = self.eos_id
        return token_loss(self.decoder.logits(self.read(rows, Sight())), targets, rows.roles == Role.TEXT).nats

    def cost(self, images: Tensor, sizes: Tensor | None = None) -> dict[str, int]:
        """Of the first image."""
        sight = self.see(images[:1], None if sizes is None else sizes[:1])
        return {
            "image_tokens": self.num_image_tokens(images[:1], None if sizes is None else sizes[:1]),
            "context_tokens": 0 if sight.prefix is None else sight.prefix.shape[1],
            **self.parameter_counts(),
        }

    def num_image_tokens(self, images: Tensor, sizes: Tensor | None = None) -> int:
        """How many tokens the encoder makes of one image, over all views of it."""
        return self.encoder.num_tokens(images.shape[-1])

    # The trunk.

    def prefix(self, sight: Sight, num_rows: int) -> Tensor:
        """``[B, P, D]``: <bos>, then what of the image stands among the text."""
        bos = self.decoder.embed(torch.full((num_rows, 1), self.bos_id, device=self.device))
        return bos if sight.prefix is None else torch.cat([bos, sight.prefix.to(bos.dtype)], dim=1)

    def read(self, rows: Rows, sight: Sight, withheld: Tensor | None = None) -> Tensor:
        """Hidden states ``[B, T, D]`` of the rows' text; ``withheld``, bool ``[B]``: rows that do not see the image."""
        sees_image = torch.isin(rows.roles, torch.tensor(SEES_IMAGE, device=rows.roles.device))
        if withheld is not None:
            sees_image = sees_image & ~withheld[:, None]
        return read_rows(
            self.decoder,
            rows,
            self.prefix(sight, len(rows.token_ids)),
            self.embed_tokens(rows),
            sees_image,
            sight,
            lambda sees, num_prefix: self.between(sight, sees, num_prefix),
        )

    def embed_tokens(self, rows: Rows) -> Tensor:
        """``[B, T, D]`` token embeddings, with the learned queries where the retrieval embeddings are read."""
        return self.heads.put_queries(self.decoder.embed(rows.token_ids), rows.roles)
