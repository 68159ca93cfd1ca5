"""Families that choose among the frequent training answers, and read an image as the encoder's tokens of a square."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.data.batch import IGNORED, Batch, Role
from mmbench.families.family import Family, SharedParts
from mmbench.families.segments import Texts, segments_of
from mmbench.families.vision.look import LookOptions, look, mean_tokens
from mmbench.families.vision.views import square_views
from mmbench.nn.encoders import ImageEncoder


@dataclass
class ImageTokens:
    """What is kept of B images."""

    layers: list[Tensor]
    """Tokens ``[B, N, D_enc]`` of one layer of the encoder or several, row by row."""
    mask: Tensor
    """bool ``[B, N]``: False everywhere where the image is withheld."""

    @property
    def tokens(self) -> Tensor:
        """``[B, N, D_enc]`` of the last of the layers."""
        return self.layers[-1]

    def take(self, index: Tensor) -> "ImageTokens":
        """Of the images ``index``, repeated or reordered."""
        return ImageTokens([tokens[index] for tokens in self.layers], self.mask[index])


class AnswerChooser(Family):
    """A family whose answer to a question is one of the frequent ones, by the highest of their `scores`."""

    encoder: ImageEncoder

    def __init__(self, shared: SharedParts, objective_weights: Mapping[str, float]) -> None:
        super().__init__(shared, objective_weights)
        self.answers = shared.answers
        self._classes = {tuple(ids): number for number, ids in reversed(list(enumerate(shared.answers)))}
        self.num_seen = 1
        """Layers of the encoder whose tokens are kept."""

    def encoded(self, pixels: Tensor) -> list[Tensor]:
        """The image tokens ``[B, N, D_enc]`` that are kept of normalised pixels, of so many layers as `num_seen`."""
        return [self.encoder(pixels)]

    def scores(self, sight: ImageTokens, texts: Texts) -> Tensor:
        """``[G, C]`` scores of the frequent answers in float32, for each of the texts and its image."""
        raise NotImplementedError(f"{type(self).__name__} must score the frequent answers")

    def see(self, images: Tensor, sizes: Tensor | None = None) -> ImageTokens:
        """The encoder's tokens of whole pictures."""
        layers = self.encoded(square_views(self.encoder.normalise(images), sizes).pixels)
        return ImageTokens(layers, torch.ones(layers[0].shape[:2], dtype=torch.bool, device=images.device))

    def see_nothing(self, num: int) -> ImageTokens:
        """One token, which nothing reads."""
        blank = torch.zeros(num, 1, self.encoder.dim, device=self.device)
        return ImageTokens([blank] * self.num_seen, torch.zeros(num, 1, dtype=torch.bool, device=self.device))

    @torch.no_grad()
    def answer(self, sight: ImageTokens, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """The likeliest of the frequent answers, of equally likely ones the first.

        It is given whole, however many tokens it has: part of an answer is none, and ``max_new_tokens`` is there to
        end what is written token by token.
        """
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
        """The mean of the encoder's tokens; where only its first blocks are used, of what those give."""
        return mean_tokens(look(self.encoder, images, sizes, LookOptions()), len(images))


def classified(batch: Batch) -> tuple[Tensor, Texts, Tensor]:
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
