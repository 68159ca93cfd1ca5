"""Fusion: an image and a question are read by two streams that meet somewhere; a classifier chooses a frequent answer.

Early, late and intermediate fusion and the baseline of pooled vectors are the same family with another placement.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.config.errors import UserError, unknown_name
from mmbench.data.batch import IGNORED, Batch, Role
from mmbench.families.family import Family, SharedParts, Task
from mmbench.families.fusion.head import AnswerHead
from mmbench.families.fusion.layer import FusionLayer
from mmbench.families.fusion.mechanisms import build_mechanism
from mmbench.families.fusion.placements import PLACEMENTS
from mmbench.families.segments import Texts, segments_of
from mmbench.families.trainee import Losses
from mmbench.families.vision.look import LookOptions, look, mean_tokens
from mmbench.families.vision.views import square_views


@dataclass
class ImageTokens:
    """What is kept of B images."""

    layers: list[Tensor]
    """Tokens ``[B, N, D_enc]`` of one layer of the encoder or several."""
    mask: Tensor
    """bool ``[B, N]``: False everywhere where the image is withheld."""

    def take(self, index: Tensor) -> "ImageTokens":
        """Of the images ``index``, repeated or reordered."""
        return ImageTokens([tokens[index] for tokens in self.layers], self.mask[index])


class Fusion(Family):
    """encoder and language model, read both ways -> fusion layers -> scores of the frequent answers.

    It answers and chooses. It writes nothing, and embeds nothing: its streams are made to be read together.
    """

    tasks: ClassVar[frozenset[Task]] = frozenset(("answer", "choose"))
    can_withhold: ClassVar[frozenset[str]] = frozenset(("image", "text"))
    matched_width: ClassVar[str] = "feed_forward_width"

    @dataclass
    class Config:
        """Settings of a fusion system."""

        placement: str = "intermediate"
        """Where the streams meet: ``early``, ``intermediate``, ``late``, or ``pooled`` (in the classifier alone)."""
        mechanism: str = ""
        """How: ``concat``, ``attention``, ``gated``, ``graph`` or ``memory``; ``attention`` if not given. None for
        ``pooled``."""
        mechanism_options: dict[str, Any] = field(default_factory=dict)
        """The mechanism's own options: ``neighbours`` of a graph, ``slots`` and ``hops`` of a memory."""
        layers: int | None = None
        """Fusion layers; if not given, 1 for ``early``, 2 for ``late``, up to 3 for ``intermediate``."""
        feed_forward_width: int | None = None
        """Inner width of the fusion layers' feed-forwards and of the classifier; the language model's if not given."""

    def __init__(self, config: Config, shared: SharedParts, objective_weights: Mapping[str, float]) -> None:
        super().__init__(shared, objective_weights)
        decoder = shared.decoder.config
        inner = decoder.feed_forward_width if config.feed_forward_width is None else config.feed_forward_width
        _check(config, shared, inner)
        self.answers = shared.answers
        self._classes = {tuple(ids): number for number, ids in reversed(list(enumerate(shared.answers)))}
        self.decoder = shared.decoder
        self.decoder.head = None  # no next token is predicted

        def make_layers(num: int) -> nn.ModuleList:
            return nn.ModuleList(
                FusionLayer(
                    build_mechanism(
                        config.mechanism or "attention", decoder.width, decoder.num_heads, config.mechanism_options
                    ),
                    decoder.width,
                    inner,
                    decoder.norm_eps,
                )
                for _ in range(num)
            )

        placement = PLACEMENTS[config.placement]
        self.encoder = placement.used_of(shared.encoder)
        self.fusion = placement(self.encoder, self.decoder, make_layers, config.layers)
        self.classifier = AnswerHead(self.fusion.image_dim, decoder.width, inner, len(shared.answers))

    def parts(self) -> dict[str, nn.Module]:
        """The shared parts, what is between them (nothing for ``pooled``), and the classifier."""
        parts = {"encoder": self.encoder, "language_model": self.decoder}
        fusion = {"fusion": self.fusion} if self.fusion.fuses else {}
        return {**parts, **fusion, "classifier": self.classifier}

    def see(self, images: Tensor, sizes: Tensor | None = None) -> ImageTokens:
        """The tokens of whole pictures, of the encoder's layers at which a text meets them."""
        layers = self.fusion.see(self.encoder, square_views(self.encoder.normalise(images), sizes).pixels)
        return ImageTokens(layers, torch.ones(layers[0].shape[:2], dtype=torch.bool, device=images.device))

    def see_nothing(self, num: int) -> ImageTokens:
        """One token, which nothing reads."""
        blank = torch.zeros(num, 1, self.encoder.dim, device=self.device)
        return ImageTokens([blank] * self.fusion.num_seen, torch.zeros(num, 1, dtype=torch.bool, device=self.device))

    def scores(self, sight: ImageTokens, texts: Texts) -> Tensor:
        """``[G, C]`` scores of the frequent answers in float32, for each of the texts and its image."""
        streams = self.fusion(self.decoder, sight.layers, sight.mask, texts.after(self.bos_id))
        scores: Tensor = self.classifier(streams)
        return scores.float()

    def loss(self, batch: Batch) -> Losses:
        """Cross-entropy of the questions whose answer is a frequent one."""
        rows, texts, classes = _classified(batch)
        no_image, no_text = (self.withheld(modality, batch) for modality in ("image", "text"))
        sight = self.see(batch.images, batch.sizes)
        if no_image is not None:
            sight.mask = sight.mask & ~no_image[:, None]
        if no_text is not None:
            texts.mask = texts.mask & ~no_text[rows, None]
        scores = self.scores(sight.take(rows), texts)
        losses = Losses({"classify": F.cross_entropy(scores, classes, reduction="sum", ignore_index=IGNORED)})
        for name, of_texts in self.decoder.auxiliary_losses().items():
            mean_of_row = of_texts / rows.bincount()[rows]
            losses.sums[name] = mean_of_row[classes != IGNORED].sum()
        return losses.present(batch.totals)

    @torch.no_grad()
    def answer(self, sight: ImageTokens, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """The likeliest of the frequent answers, whole however long it is; of equally likely ones the first."""
        best = self.scores(sight, Texts.of(prompts, self.device)).argmax(dim=-1)
        return [self.answers[number] for number in best.tolist()]

    @torch.no_grad()
    def choice_scores(
        self, sight: ImageTokens, prompts: list[list[int]], choices: list[list[list[int]]]
    ) -> list[Tensor]:
        """The log-probability of each choice among the frequent answers.

        One that is none of them is less likely than all that are; several such are equally likely.
        """
        scores = self.scores(sight, Texts.of(prompts, self.device)).log_softmax(dim=-1)
        scores = torch.cat([scores, scores.amin(dim=-1, keepdim=True) - 1], dim=-1)
        unknown = len(self.answers)
        return [
            row[torch.tensor([self._classes.get(tuple(choice), unknown) for choice in given], device=row.device)]
            for row, given in zip(scores, choices, strict=True)
        ]

    def image_features(self, images: Tensor, sizes: Tensor | None = None) -> Tensor:
        """The mean of the encoder's tokens; of ``early``, which uses its first block alone, of what that gives."""
        return mean_tokens(look(self.encoder, images, sizes, LookOptions()), len(images))

    def cost(self, images: Tensor, sizes: Tensor | None = None) -> dict[str, int]:
        """Of the first image."""
        num_tokens = self.encoder.num_tokens(images.shape[-1])
        return {
            "image_tokens": num_tokens,
            "context_tokens": self.fusion.context_tokens(num_tokens),
            **self.parameter_counts(),
        }


def _check(config: Fusion.Config, shared: SharedParts, inner: int) -> None:
    if config.placement not in PLACEMENTS:
        raise unknown_name("placement of fusion", config.placement, PLACEMENTS)
    if not PLACEMENTS[config.placement].fuses and (config.mechanism or config.mechanism_options):
        raise UserError(
            f"option 'mechanism' is '{config.mechanism}', but placement '{config.placement}' has no fusion layers: "
            "leave 'mechanism' and 'mechanism_options' out, or choose another placement"
        )
    if config.layers is not None and config.layers < 1:
        raise UserError(f"option 'layers' is {config.layers}; it must be at least 1")
    if inner < 1:
        raise UserError(f"option 'feed_forward_width' is {inner}; it must be at least 1")
    if not shared.answers:
        raise UserError(
            "a fusion system chooses among the frequent answers, but the training data has no question with one: give "
            "data with questions, or use a family that writes"
        )


def _classified(batch: Batch) -> tuple[Tensor, Texts, Tensor]:
    """The questions that have a class: their rows ``[G]``, their prompts, and the classes ``[G]``.

    Where there is none, one blank question without a class stands for them: every micro-batch must go through the same
    parameters, since other processes may wait for their gradients.
    """
    questions = segments_of(batch, [Role.ANSWER]).prompts()
    chosen = questions.classes != IGNORED
    if not bool(chosen.any()):
        device = batch.token_ids.device
        blank = torch.zeros(1, dtype=torch.int64, device=device)
        return blank, Texts.of([[]], device), torch.full_like(blank, IGNORED)
    texts = Texts(questions.token_ids[chosen], questions.mask[chosen])
    return questions.rows[chosen], texts, questions.classes[chosen]
