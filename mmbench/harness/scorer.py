"""What one family says of one split, task by task and in batches."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from mmbench.config.settings import Settings
from mmbench.data.answers import FrequentAnswers
from mmbench.data.evaluation_split import EvaluationSplit
from mmbench.data.prompts import CAPTION_PROMPT, continuation, question_prompt
from mmbench.data.tokenizer import TextTokenizer
from mmbench.families.family import Family
from mmbench.harness.foils import foils
from mmbench.harness.tables import answer_row, caption_row, captions_of, choice_row, choices_of, questions_of

Item = TypeVar("Item")


class Scorer:
    """One family on one split, in batches; the order of the work is fixed, so that a repeat gives the same bits.

    Args:
        family: in evaluation mode.
        split: what it is asked about.
        tokenizer: of the run.
        settings: of the run.
        frequent: the frequent training answers, in whose spelling choices are asked; None: choices are as they came.
    """

    def __init__(
        self,
        family: Family,
        split: EvaluationSplit,
        tokenizer: TextTokenizer,
        settings: Settings,
        frequent: FrequentAnswers | None = None,
    ) -> None:
        self.family, self.split, self.tokenizer, self.settings = family, split, tokenizer, settings
        self.frequent = frequent or FrequentAnswers([], 0)
        self.limits = settings.evaluation
        self.max_text_tokens = settings.training.rows.max_text_tokens

    def of(self, split: EvaluationSplit) -> "Scorer":
        """The same family on another split."""
        return Scorer(self.family, split, self.tokenizer, self.settings, self.frequent)

    def captions(self) -> list[dict[str, Any]]:
        """A caption for every image that has references."""
        wanted = [index for index, example in enumerate(self.split.examples) if example.captions]
        rows = []
        for indices in self.batches(wanted):
            prompts = [self.tokenizer.encode(CAPTION_PROMPT)] * len(indices)
            said = self.family.caption(self.sight(indices), prompts, self.limits.max_caption_tokens)
            rows += [
                caption_row(self.split.examples[index], self.tokenizer.decode(ids))
                for index, ids in zip(indices, said, strict=True)
            ]
        return rows

    def answers(self, with_image: bool = True) -> list[dict[str, Any]]:
        """An answer to every question, with the image or with it withheld."""
        rows = []
        for pairs in self.batches(questions_of(self.split)):
            prompts = [self.tokenizer.encode(question_prompt(question.text)) for _, question in pairs]
            sight = self.sight([index for index, _ in pairs]) if with_image else self.family.see_nothing(len(pairs))
            said = self.family.answer(sight, prompts, self.limits.max_answer_tokens)
            for (index, question), ids in zip(pairs, said, strict=True):
                row = answer_row(self.split.examples[index], question, self.tokenizer.decode(ids))
                rows.append(row if with_image else row | {"task": "answer without image"})
        return rows

    def choices(self) -> tuple[list[dict[str, Any]], dict[str, list[float]]]:
        """The likeliest choice of every question that has choices, and the scores of all of them."""
        rows, scores = [], {}
        for pairs in self.batches(choices_of(self.split)):
            prompts = [self.tokenizer.encode(question_prompt(question.text)) for _, question in pairs]
            # Training has taught one spelling of each frequent answer, and who classifies knows no other.
            choices = [[self.frequent.as_written(choice) for choice in question.choices] for _, question in pairs]
            ids = [[self.encode(continuation(choice)) for choice in given] for given in choices]
            found = self.family.choice_scores(self.sight([index for index, _ in pairs]), prompts, ids)
            for (index, question), given in zip(pairs, found, strict=True):
                scores[question.id] = given.tolist()
                rows.append(choice_row(self.split.examples[index], question, scores[question.id]))
        return rows, scores

    def matches(self) -> dict[str, list[float]]:
        """How well each caption, and its foil, belongs to the caption's image; captions without a foil are left out."""
        captions = captions_of(self.split)
        pairs = [
            (index, caption_id, text, captions[foil][2])
            for (index, caption_id, text), foil in zip(
                captions, foils([(index, text) for index, _, text in captions]), strict=True
            )
            if foil is not None
        ]
        found: dict[str, list[float]] = {}
        for batch in self.batches(pairs):
            sight = self.sight([index for index, *_ in batch for _ in range(2)])
            texts = [self.encode(continuation(text)) for _, _, own, foil in batch for text in (own, foil)]
            scores = self.family.match_scores(sight, texts).reshape(-1, 2).tolist()
            found |= {caption_id: both for (_, caption_id, *_), both in zip(batch, scores, strict=True)}
        return found

    @cached_property
    def image_embeddings(self) -> Tensor:
        """``[I, E]``."""
        everything = list(range(len(self.split)))
        return torch.cat([self.family.embed_images(*self.pixels(indices)) for indices in self.batches(everything)])

    @cached_property
    def caption_embeddings(self) -> Tensor:
        """``[C, E]``."""
        return self.text_embeddings([text for _, _, text in captions_of(self.split)])

    def text_embeddings(self, texts: Sequence[str]) -> Tensor:
        """``[N, E]``, of texts that stand alone."""
        ids = [self.encode(continuation(text)) for text in texts]
        return torch.cat([self.family.embed_texts(batch) for batch in self.batches(ids)])

    def features(self, indices: Sequence[int]) -> Tensor:
        """``[n, F]`` on the processor: what the family makes of these images alone."""
        found = []
        for batch in self.batches(indices):
            features = self.family.image_features(*self.pixels(batch))
            assert features is not None, f"{type(self.family).__name__} makes nothing of an image alone"
            found.append(features.float().cpu())
        return torch.cat(found)

    def text_losses(self) -> tuple[dict[str, float], dict[str, str]]:
        """Nats per token of each text, and the image of each text."""
        texts = [
            (caption, CAPTION_PROMPT + continuation(text), index) for index, caption, text in captions_of(self.split)
        ]
        for index, question in questions_of(self.split):
            said = question_prompt(question.text) + continuation(question.answers[0])
            texts.append((question.id, said, index))
        losses: dict[str, float] = {}
        for batch in self.batches(texts):
            nats = self.family.text_nats([self.encode(said) for _, said, _ in batch]).tolist()
            losses |= {text_id: loss for (text_id, _, _), loss in zip(batch, nats, strict=True)}
        return losses, {text_id: self.split.examples[index].image_id for text_id, _, index in texts}

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, cut where training cuts it."""
        return self.tokenizer.encode(text)[: self.max_text_tokens]

    def sight(self, indices: Sequence[int]) -> Any:
        """What the family keeps of these images; one that stands there several times is seen once."""
        images = sorted(set(indices))
        seen = self.family.see(*self.pixels(images))
        if images == list(indices):
            return seen
        place = {index: number for number, index in enumerate(images)}
        return seen.take(torch.tensor([place[index] for index in indices], device=self.family.device))

    def pixels(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images uint8 ``[n, 3, S, S]`` and their sizes int64 ``[n, 2]``, on the family's device."""
        device = self.family.device
        return self.split.images(indices).to(device), self.split.sizes(indices).to(device)

    def batches(self, items: Sequence[Item]) -> Iterator[list[Item]]:
        """The items in batches of the evaluation's size."""
        for start in range(0, len(items), self.limits.batch_size):
            yield list(items[start : start + self.limits.batch_size])
