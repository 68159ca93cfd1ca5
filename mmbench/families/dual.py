"""Dual encoder: an image tower and a text tower that meet in one space alone, and are told apart there.

CLIP, arXiv 2103.00020; SigLIP, arXiv 2303.15343.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.data.batch import Batch
from mmbench.families.family import Family, SharedParts, Task
from mmbench.families.pairs import pair_texts
from mmbench.families.segments import Texts
from mmbench.families.trainee import Losses
from mmbench.families.vision.look import LookOptions, look, mean_tokens
from mmbench.families.vision.views import square_views
from mmbench.nn.contrastive import ContrastiveHead, SigmoidHead
from mmbench.nn.decoder import Decoder
from mmbench.nn.pooling import Pool
from mmbench.nn.text_tower import Reading, at_last, frame, read


@dataclass
class Embedded:
    """Images in the common space."""

    vectors: Tensor
    """``[B, E]``, unit vectors, float32."""

    def take(self, index: Tensor) -> "Embedded":
        """Those of the images ``index``, repeated or reordered."""
        return Embedded(self.vectors[index])


class Dual(Family):
    """encoder -> pooling -> projection, language model -> pooling -> projection: similar where they belong together."""

    tasks: ClassVar[frozenset[Task]] = frozenset(("choose", "match", "retrieve"))
    learned_by: ClassVar[Mapping[Task, tuple[str, str]]] = dict.fromkeys(tasks, ("heads", "contrastive"))
    objectives: ClassVar[tuple[str, ...]] = ("contrastive",)
    matched_width: ClassVar[str] = "embed_dim"

    @dataclass
    class Config:
        """Settings of a dual encoder."""

        objective: Literal["softmax", "sigmoid"] = "softmax"
        """Each image finds its text among those of its group and the other way round (CLIP), or each pair is judged by
        itself (SigLIP)."""
        image_pool: Literal["max", "mean", "attention", "class"] = "max"
        """How the encoder's tokens become one vector; ``class``: its class token, of an encoder that has one."""
        text_attention: Literal["causal", "bidirectional"] = "causal"
        """Whether a token of the text reads those before it, or all."""
        text_pool: Literal["end", "mean", "attention"] = "end"
        """How the text's tokens become one vector; ``end``: the last one."""
        embed_dim: int | None = None
        """Width of the common space; the encoder's if not given."""
        project_image: bool = True
        """False: what is pooled from the image is in the common space already (SigLIP)."""
        pool_heads: int = 4
        """Heads of attention pooling."""
        pool_feed_forward_width: int | None = None
        """Inner width of the feed-forward of attention pooling; four times the tokens' if not given."""
        begin_token: bool = True
        """Whether a begin token stands before each text; an end token always stands behind it."""
        longest_text: int | None = None
        """Most tokens of a text, begin and end included, and at least one between them; longer ones are cut. None: as
        long as the data has them."""
        pad_text: bool = False
        """Whether texts are padded to ``longest_text`` and the padding is read like text (SigLIP's checkpoints)."""
        text_pad_id: int | None = None
        """Id of that padding; the tokenizer's if not given."""

    def __init__(self, config: Config, shared: SharedParts, objective_weights: Mapping[str, float]) -> None:
        super().__init__(shared, objective_weights)
        _check_texts(config, shared.decoder.config)
        self.config = config
        self.encoder, self.decoder = shared.encoder, shared.decoder
        self.decoder.head = None  # no token is predicted; a vocabulary of its own would be parameters without gradient
        self.reading = Reading(
            bos_id=shared.bos_id if config.begin_token else None,
            eos_id=shared.eos_id,
            pad_id=shared.pad_id if config.text_pad_id is None else config.text_pad_id,
            causal=config.text_attention == "causal",
            longest=config.longest_text,
            padded=config.pad_text,
        )
        self.heads = DualHeads(config, shared.encoder.dim, shared.decoder.config.width)

    def parts(self) -> dict[str, nn.Module]:
        """Both towers, and what pools and projects."""
        return {"encoder": self.encoder, "language_model": self.decoder, "heads": self.heads}

    # Learning.

    def loss(self, batch: Batch) -> Losses:
        """The contrastive loss between each row's image and the caption of its pair."""
        if not batch.totals.pairs:
            return Losses()
        pairs = pair_texts(batch)
        head, group = self.heads.contrastive, self.training_settings.contrastive_group
        image = head.embed_image(self._image_vectors(batch.images, batch.sizes))
        text = head.embed_text(self._text_features(pairs.token_ids, pairs.lengths))
        loss, _ = head.loss(image, text, pairs.valid, group)
        balance = {name: each.sum() for name, each in self.decoder.auxiliary_losses().items()}
        return Losses({"contrastive": loss, **balance})

    def on_fit_start(self) -> None:
        """Refuse data without captions before the first step.

        Raises:
            UserError: there is nothing to learn.
        """
        if "retrieve" not in self.trainer.datamodule.tasks:  # type: ignore[attr-defined]
            raise UserError(
                "a dual encoder learns which caption belongs to which image, and the data has no captions: give data "
                "with captions, or leave this system out"
            )

    # The tasks.

    def see(self, images: Tensor, sizes: Tensor | None = None) -> Embedded:
        """The images in the common space: nothing else of them is kept."""
        return Embedded(self.embed_images(images, sizes))

    def choice_scores(self, sight: Embedded, prompts: list[list[int]], choices: list[list[list[int]]]) -> list[Tensor]:
        """How similar the question with each of its choices behind it is to the image."""
        texts = [[*prompt, *choice] for prompt, given in zip(prompts, choices, strict=True) for choice in given]
        counts = [len(given) for given in choices]
        image = sight.vectors.repeat_interleave(torch.tensor(counts, device=sight.vectors.device), dim=0)
        return list(torch.split(self._similarities(image, self.embed_texts(texts)), counts))

    def match_scores(self, sight: Embedded, texts: list[list[int]]) -> Tensor:
        """How similar each text is to its image."""
        return self._similarities(sight.vectors, self.embed_texts(texts))

    def embed_images(self, images: Tensor, sizes: Tensor | None = None) -> Tensor:
        """What is pooled from the image, projected."""
        return self.heads.contrastive.embed_image(self._image_vectors(images, sizes))

    def embed_texts(self, texts: list[list[int]]) -> Tensor:
        """What is pooled from the text, projected."""
        read = Texts.of(texts, self.device)
        return self.heads.contrastive.embed_text(self._text_features(read.token_ids, read.mask.sum(dim=1)))

    def image_features(self, images: Tensor, sizes: Tensor | None = None) -> Tensor:
        """The mean of the encoder's tokens, however retrieval pools them."""
        return mean_tokens(look(self.encoder, images, sizes, LookOptions()), len(images))

    def cost(self, images: Tensor, sizes: Tensor | None = None) -> dict[str, int]:
        """No image token enters the language model's context."""
        image_tokens = self.encoder.num_tokens(images.shape[-1])
        return {"image_tokens": image_tokens, "context_tokens": 0, **self.parameter_counts()}

    # The towers.

    def _image_vectors(self, images: Tensor, sizes: Tensor | None) -> Tensor:
        """``[B, D_enc]`` what is pooled from the encoder's tokens of whole pictures, before the projection."""
        pixels = square_views(self.encoder.normalise(images), sizes).pixels
        if self.heads.image_pool is None:
            return self._class_token(pixels)
        pooled: Tensor = self.heads.image_pool(self.encoder(pixels))
        return pooled

    def _class_token(self, pixels: Tensor) -> Tensor:
        tokens = self.encoder.final_norm(self.encoder.features(pixels, [-1], class_token=True)[0])
        if tokens.shape[1] == (pixels.shape[2] // self.encoder.patch_size) * (
            pixels.shape[3] // self.encoder.patch_size
        ):
            raise UserError(
                "option 'image_pool' is class, but the encoder has no class token: give max, mean or attention"
            )
        return tokens[:, 0]

    def _text_features(self, token_ids: Tensor, lengths: Tensor) -> Tensor:
        """``[G, D]`` what is pooled from texts, before the projection."""
        texts = frame(token_ids, lengths, self.reading)
        hidden = read(self.decoder, texts, self.reading.causal)
        if self.heads.text_pool is None:
            return at_last(hidden, texts)
        pooled: Tensor = self.heads.text_pool(hidden, texts.mask)
        return pooled

    def _similarities(self, images: Tensor, texts: Tensor) -> Tensor:
        """``[B]``, pair by pair."""
        return self.heads.contrastive.similarity(images[:, None], texts[:, None])[:, 0, 0]


class DualHeads(nn.Module):
    """What stands behind the towers: pooling with parameters of its own, the projections, temperature and bias."""

    def __init__(self, config: Dual.Config, image_dim: int, text_dim: int) -> None:
        super().__init__()
        heads, width = config.pool_heads, config.pool_feed_forward_width
        self.image_pool = None if config.image_pool == "class" else Pool(config.image_pool, image_dim, heads, width)
        self.text_pool = None if config.text_pool == "end" else Pool(config.text_pool, text_dim, heads, width)
        embed_dim = image_dim if config.embed_dim is None else config.embed_dim
        self.contrastive = _contrastive_head(config, image_dim, text_dim, embed_dim)


def _check_texts(config: Dual.Config, decoder: Decoder.Config) -> None:
    if config.pad_text and config.longest_text is None:
        raise UserError("option 'pad_text' is true: say with 'longest_text' how many tokens texts are padded to")
    if config.longest_text is not None:
        least, most = (3 if config.begin_token else 2), decoder.max_positions
        if config.longest_text < least or (most and config.longest_text > most):
            ends = "a begin and an end token" if config.begin_token else "an end token"
            up_to = f" and at most {most}, the positions that the language model learned" if most else ""
            raise UserError(
                f"option 'longest_text' is {config.longest_text}; with {ends} it must be at least {least}{up_to}: "
                "change it, or leave it out"
            )
    num_ids = decoder.vocab_size + decoder.extra_embeddings
    if config.text_pad_id is not None and not 0 <= config.text_pad_id < num_ids:
        raise UserError(
            f"option 'text_pad_id' is {config.text_pad_id}, but token ids go from 0 to {num_ids - 1}: give one of "
            "them, or leave it out for the tokenizer's"
        )


def _contrastive_head(config: Dual.Config, image_dim: int, text_dim: int, embed_dim: int) -> ContrastiveHead:
    if embed_dim < 1:
        raise UserError(f"option 'embed_dim' is {embed_dim}; it must be at least 1")
    if config.objective == "softmax":
        if not config.project_image:
            raise UserError("option 'project_image' is false, which goes with objective: sigmoid alone")
        return ContrastiveHead(image_dim, text_dim, embed_dim)
    try:
        return SigmoidHead(image_dim, text_dim, embed_dim, config.project_image)
    except ValueError as error:
        raise UserError(f"option 'embed_dim' is {embed_dim}, and 'project_image' is false: {error}") from error
