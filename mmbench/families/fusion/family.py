"""Fusion: an image and a question are read by two streams that meet somewhere; a classifier chooses a frequent answer.

Early, late and intermediate fusion and the baseline of pooled vectors are the same family with another placement.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.config.errors import UserError, unknown_name
from mmbench.data.batch import IGNORED, Batch
from mmbench.families.family import SharedParts, Task
from mmbench.families.frequent_answers import AnswerChooser, ImageTokens, classified
from mmbench.families.fusion.head import AnswerHead
from mmbench.families.fusion.layer import FusionLayer
from mmbench.families.fusion.mechanisms import build_mechanism
from mmbench.families.fusion.placements import PLACEMENTS
from mmbench.families.segments import Texts
from mmbench.families.trainee import Losses


class Fusion(AnswerChooser):
    """encoder and language model, read both ways -> fusion layers -> scores of the frequent answers.

    It answers and chooses. It writes nothing, and embeds nothing: its streams are made to be read together.
    """

    tasks: ClassVar[frozenset[Task]] = frozenset(("answer", "choose"))
    learned_by: ClassVar[Mapping[Task, tuple[str, str]]] = dict.fromkeys(tasks, ("classifier", "classify"))
    can_withhold: ClassVar[frozenset[str]] = frozenset(("image", "text"))
    objectives: ClassVar[tuple[str, ...]] = ("classify",)
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
        self.num_seen = self.fusion.num_seen
        self.classifier = AnswerHead(self.fusion.image_dim, decoder.width, inner, len(shared.answers))

    def parts(self) -> dict[str, nn.Module]:
        """The shared parts, what is between them (nothing for ``pooled``), and the classifier."""
        parts = {"encoder": self.encoder, "language_model": self.decoder}
        fusion = {"fusion": self.fusion} if self.fusion.fuses else {}
        return {**parts, **fusion, "classifier": self.classifier}

    def encoded(self, pixels: Tensor) -> list[Tensor]:
        """The tokens of the encoder's layers at which a text meets them."""
        return self.fusion.see(self.encoder, pixels)

    def scores(self, sight: ImageTokens, texts: Texts) -> Tensor:
        """See `AnswerChooser.scores`."""
        streams = self.fusion(self.decoder, sight.layers, sight.mask, texts.after(self.bos_id))
        scores: Tensor = self.classifier(streams)
        return scores.float()

    def loss(self, batch: Batch) -> Losses:
        """Cross-entropy of the questions whose answer is a frequent one."""
        rows, texts, classes = classified(batch)
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
