"""Co-attention: two streams that look at each other in every block (ViLBERT, arXiv 1908.02265; LXMERT, 1908.07490).

The text stream starts from the shared language model, read both ways, the image stream from the shared encoder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.data.batch import IGNORED, Batch
from mmbench.families.coattn.heads import CoAttentionHeads
from mmbench.families.coattn.objectives import masked_image_loss, masked_text_loss, matching_loss
from mmbench.families.coattn.rivals import draw_rivals
from mmbench.families.coattn.streams import CoAttentionStreams, Met
from mmbench.families.family import SharedParts, Task
from mmbench.families.frequent_answers import AnswerChooser, ImageTokens, classified
from mmbench.families.pairs import pair_texts
from mmbench.families.segments import Texts
from mmbench.families.trainee import Losses
from mmbench.nn.co_attention import CoAttentionBlock, Directions
from mmbench.nn.pooling import max_over
from mmbench.nn.row_draws import RowDraws
from mmbench.nn.text_tower import Framed, Reading, at_last, frame, read

OBJECTIVES = ("contrastive", "match", "masked_text", "masked_image", "classify")
"""What the family can learn; those of weight 0 are neither built nor computed."""


class CoAttn(AnswerChooser):
    """encoder and language model -> co-attention blocks -> heads for matching, masked words and patches, and answers.

    A task whose objective is off is not learned, and not scored.
    """

    tasks: ClassVar[frozenset[Task]] = frozenset(("answer", "choose", "match", "retrieve", "rerank"))
    learned_by: ClassVar[Mapping[Task, tuple[str, str]]] = {
        "answer": ("heads", "classify"),
        "choose": ("heads", "classify"),
        "match": ("heads", "match"),
        "retrieve": ("heads", "contrastive"),
        "rerank": ("heads", "match"),
    }
    can_withhold: ClassVar[frozenset[str]] = frozenset(("image", "text"))
    objectives: ClassVar[tuple[str, ...]] = OBJECTIVES
    matched_width: ClassVar[str] = "feed_forward_width"

    @dataclass
    class Config:
        """Settings of a co-attention system."""

        blocks: int = 2
        """Co-attention blocks."""
        num_heads: int | None = None
        """Heads of their attentions; the language model's if not given."""
        feed_forward_width: int | None = None
        """Inner width of their feed-forwards; the language model's if not given."""
        directions: Directions = "both"
        """Which stream looks at the other: ``both``, the ``text`` at the image alone, or the ``image`` at the text."""
        shared_directions: bool = False
        """Whether one cross-attention serves both directions, as in LXMERT's code."""
        embed_dim: int = 128
        """Width of the retrieval space."""
        masked_share: float = 0.15
        """Share of a caption's tokens, and of an image's patches, that are to be predicted."""
        hard_negatives: bool = False
        """Whether matching prefers captions that are similar to the image (ALBEF, arXiv 2107.07651)."""

    def __init__(self, config: Config, shared: SharedParts, objective_weights: Mapping[str, float]) -> None:
        super().__init__(shared, objective_weights)
        on = {name for name in OBJECTIVES if self.objective_weights.get(name, 1.0) > 0}
        _check(config, shared, on)
        self.config = config
        self.encoder, self.decoder = shared.encoder, shared.decoder
        if "masked_text" not in on:
            self.decoder.head = None  # no token is predicted
        self.reading = Reading(shared.bos_id, shared.eos_id, shared.pad_id, causal=False)
        decoder = shared.decoder.config
        block = CoAttentionBlock.Config(
            width=decoder.width,
            num_heads=decoder.num_heads if config.num_heads is None else config.num_heads,
            feed_forward_width=(
                decoder.feed_forward_width if config.feed_forward_width is None else config.feed_forward_width
            ),
            shared_directions=config.shared_directions,
            directions=config.directions,
        )
        self.co_attention = CoAttentionStreams(block, config.blocks, shared.encoder.dim)
        if not shared.answers:
            on.discard("classify")
        self.heads = CoAttentionHeads(on, decoder.width, shared.encoder.dim, config.embed_dim, len(shared.answers))

    def parts(self) -> dict[str, nn.Module]:
        """The shared parts, the blocks in which they meet, and the heads of the objectives that are on."""
        return {
            "encoder": self.encoder,
            "language_model": self.decoder,
            "co_attention": self.co_attention,
            "heads": self.heads,
        }

    def unable(self) -> dict[Task, str]:
        """A head that was not built cannot have come with weights either."""
        absent: dict[Task, str] = {
            task: f"its objective '{objective}' is off"
            for task, (_, objective) in self.learned_by.items()
            if getattr(self.heads, objective) is None
        }
        return super().unable() | absent

    # What is read.

    def meet(self, sight: ImageTokens, texts: Framed) -> Met:
        """Texts and their images, read together."""
        met: Met = self.co_attention(read(self.decoder, texts, causal=False), texts.mask, sight)
        return met

    def framed(self, texts: Texts) -> Framed:
        """Texts between their begin and end tokens."""
        return frame(texts.token_ids, texts.mask.sum(dim=1), self.reading)

    # Learning.

    def loss(self, batch: Batch) -> Losses:
        """The objectives that are on and have data: those of pairs where there are captions, and the answers."""
        totals = batch.totals
        if not (totals.pairs or totals.classified):
            return Losses()
        seed = int(torch.randint(2**62, ()))  # before all that depends on how many rows there are
        no_image, no_text = (self.withheld(modality, batch) for modality in ("image", "text"))
        sight = self.see(batch.images, batch.sizes)
        sums = self._of_pairs(batch, sight, no_image, no_text, seed) if totals.pairs else {}
        if totals.classified and self.heads.classify is not None:
            sums["classify"] = self._classified(batch, sight, no_image, no_text)
        return Losses(sums)

    def _of_pairs(
        self, batch: Batch, sight: ImageTokens, no_image: Tensor | None, no_text: Tensor | None, seed: int
    ) -> dict[str, Tensor]:
        """The losses over images and their captions; a pair of which one side is withheld is none."""
        pairs = pair_texts(batch)
        valid = pairs.valid
        for withheld in (no_image, no_text):
            valid = valid if withheld is None else valid & ~withheld
        texts = frame(pairs.token_ids, pairs.lengths, self.reading)
        text = read(self.decoder, texts, causal=False)
        sums = {name: each.sum() for name, each in self.decoder.auxiliary_losses().items()}
        draws = RowDraws(texts.token_ids, texts.mask, seed)
        group, similarity = self.training_settings.contrastive_group, None
        if self.heads.contrastive is not None:
            head = self.heads.contrastive
            embedded = head.embed_image(max_over(sight.tokens, sight.mask)), head.embed_text(at_last(text, texts))
            sums["contrastive"], _ = head.loss(*embedded, valid, group)
            similarity = head.similarity(*embedded)
        meet, share = self.co_attention, self.config.masked_share
        if self.heads.match is not None:
            hard = similarity if self.config.hard_negatives else None
            rival, found = draw_rivals(texts.token_ids, valid, group, draws, hard)
            sums["match"] = matching_loss(meet, self.heads.match, sight, text, texts.mask, rival, found)
        if self.heads.masked_text is not None:
            sums["masked_text"] = masked_text_loss(
                meet, self.heads.masked_text, self.decoder, sight, texts, share, draws
            )
        if self.heads.masked_image is not None:
            sums["masked_image"] = masked_image_loss(
                meet, self.heads.masked_image, sight, text, texts.mask, share, draws
            )
        return sums

    def _classified(self, batch: Batch, sight: ImageTokens, no_image: Tensor | None, no_text: Tensor | None) -> Tensor:
        """Cross-entropy of the questions whose answer is a frequent one."""
        rows, texts, classes = classified(batch)
        seen = sight.take(rows)
        if no_image is not None:
            seen.mask = seen.mask & ~no_image[rows, None]
        if no_text is not None:
            texts.mask = texts.mask & ~no_text[rows, None]
        return F.cross_entropy(self.scores(seen, texts), classes, reduction="sum", ignore_index=IGNORED)

    # The tasks.

    def answer(self, sight: ImageTokens, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """See `AnswerChooser.answer`; nothing where answers are not learned."""
        if self.heads.classify is None:
            return [[] for _ in prompts]
        return super().answer(sight, prompts, max_new_tokens)

    def choice_scores(
        self, sight: ImageTokens, prompts: list[list[int]], choices: list[list[list[int]]]
    ) -> list[Tensor]:
        """See `AnswerChooser.choice_scores`; a tie where answers are not learned."""
        if self.heads.classify is None:
            return [torch.zeros(len(given), device=self.device) for given in choices]
        return super().choice_scores(sight, prompts, choices)

    def match_scores(self, sight: ImageTokens, texts: list[list[int]]) -> Tensor:
        """Log-odds of belonging together."""
        if self.heads.match is None:
            return torch.zeros(len(texts), device=self.device)
        met = self.meet(sight, self.framed(Texts.of(texts, self.device)))
        odds: Tensor = self.heads.match(met.joint)[:, 0]
        return odds

    def embed_images(self, images: Tensor, sizes: Tensor | None = None) -> Tensor:
        """The image stream before it meets a text, pooled and projected."""
        if self.heads.contrastive is None:
            return torch.ones(len(images), 1, device=self.device)
        sight = self.see(images, sizes)
        return self.heads.contrastive.embed_image(max_over(sight.tokens, sight.mask))

    def embed_texts(self, texts: list[list[int]]) -> Tensor:
        """The text stream before it meets an image, at its end token, projected."""
        if self.heads.contrastive is None:
            return torch.ones(len(texts), 1, device=self.device)
        framed = self.framed(Texts.of(texts, self.device))
        return self.heads.contrastive.embed_text(at_last(read(self.decoder, framed, causal=False), framed))

    def cost(self, images: Tensor, sizes: Tensor | None = None) -> dict[str, int]:
        """No image token enters the language model's context."""
        image_tokens = self.encoder.num_tokens(images.shape[-1])
        return {"image_tokens": image_tokens, "context_tokens": 0, **self.parameter_counts()}

    def scores(self, sight: ImageTokens, texts: Texts) -> Tensor:
        """See `AnswerChooser.scores`."""
        assert self.heads.classify is not None
        scores: Tensor = self.heads.classify(self.meet(sight, self.framed(texts)).joint)
        return scores


def _check(config: CoAttn.Config, shared: SharedParts, on: set[str]) -> None:
    if config.blocks < 1:
        raise UserError(f"option 'blocks' is {config.blocks}; it must be at least 1")
    if config.embed_dim < 1:
        raise UserError(f"option 'embed_dim' is {config.embed_dim}; it must be at least 1")
    if not 0 < config.masked_share < 1:
        raise UserError(f"option 'masked_share' is {config.masked_share}; it must lie between 0 and 1")
    if config.hard_negatives and not {"contrastive", "match"} <= on:
        raise UserError(
            "option 'hard_negatives' is true, but it needs the objectives contrastive and match: give both a weight"
        )
    if shared.decoder.config.width % 4:
        raise UserError(
            f"the language model is {shared.decoder.config.width} wide, but co-attention needs a multiple of 4"
        )
