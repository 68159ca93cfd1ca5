"""Scoring one trained cell on a split: what it captions, answers and retrieves, example by example."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from mmbench.config.data import DataSettings
from mmbench.config.errors import UserError
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.evaluation_split import EvaluationSplit
from mmbench.data.example import TEST
from mmbench.data.prompts import CAPTION_PROMPT, continuation, question_prompt
from mmbench.data.tokenizer import TextTokenizer
from mmbench.families.family import Family
from mmbench.harness.precision import inference
from mmbench.harness.tables import (
    ScoreTable,
    answer_row,
    caption_row,
    captions_of,
    predictions_frame,
    questions_of,
    score_answers,
    score_captions,
    score_retrieval,
)
from mmbench.metrics import cross_modal_recall

RECALL_KS = (1, 5, 10)
"""The K of Recall@K."""

Progress = Callable[[float], None]
"""Called with the fraction that is done."""


@dataclass
class Evaluation:
    """What a cell's evaluation on one split gives."""

    scores: pd.DataFrame
    """One row an example and metric; see `mmbench.harness.tables.SCORE_COLUMNS`."""
    predictions: pd.DataFrame
    """One row a generated text."""


def evaluate_split(
    family: Family,
    datamodule: MultimodalDataModule,
    name: str,
    settings: Settings,
    *,
    system: str,
    seed: int,
    progress: Progress = lambda fraction: None,
) -> Evaluation:
    """Caption every image, answer every question, rank images and captions, and read the text alone."""
    split = datamodule.split(name)
    table, rows = ScoreTable(), []
    family.eval()
    scorer = _Scorer(family, split, datamodule.tokenizer, settings)
    with inference(settings.trainer, family.device):
        if "caption" in datamodule.tasks:
            captions = scorer.captions()
            rows += captions
            score_captions(table, split, {row["example_id"]: row["prediction"] for row in captions})
        progress(0.3)
        if "answer" in datamodule.tasks:
            answers = scorer.answers()
            rows += answers
            score_answers(table, split, {row["example_id"]: row["prediction"] for row in answers})
        progress(0.7)
        if "retrieve" in datamodule.tasks:
            images, texts, owner = scorer.embeddings()
            score_retrieval(table, split, cross_modal_recall(images, texts, owner), RECALL_KS)
        progress(0.9)
        table.add("text_loss", *scorer.text_losses())
    progress(1.0)
    return Evaluation(table.frame(system, seed), predictions_frame(rows, system, seed, name))


def text_losses(
    family: Family, split: EvaluationSplit, tokenizer: TextTokenizer, settings: Settings
) -> tuple[dict[str, float], dict[str, str]]:
    """Nats per token of every caption and question of a split, read without the image; and each one's image."""
    family.eval()
    with inference(settings.trainer, family.device):
        return _Scorer(family, split, tokenizer, settings).text_losses()


def evaluate_again(cell_dir: Path, data: DataSettings | None = None) -> dict[str, float]:
    """Score a trained cell again, on its own test split or on other data; writes nothing.

    Returns:
        Metric -> mean over the examples.

    Raises:
        UserError: the folder is no trained cell.
    """
    from mmbench.harness.cell import load_cell

    family, opened, cell = load_cell(cell_dir, data)
    result = evaluate_split(family, opened.datamodule, TEST, opened.settings, system=cell.system, seed=cell.seed)
    if result.scores.empty:
        raise UserError(f"the data has nothing that '{cell_dir}' could be scored on")
    return dict(result.scores.groupby("metric", sort=False)["score"].mean())


class _Scorer:
    """One family on one split, in batches; the order of the work is fixed, so that a repeat gives the same bits."""

    def __init__(self, family: Family, split: EvaluationSplit, tokenizer: TextTokenizer, settings: Settings) -> None:
        self.family, self.split, self.tokenizer = family, split, tokenizer
        self.limits = settings.evaluation
        self.max_text_tokens = settings.training.rows.max_text_tokens

    def captions(self) -> list[dict[str, Any]]:
        """A caption for every image that has references."""
        wanted = [index for index, example in enumerate(self.split.examples) if example.captions]
        rows = []
        for indices in self._batches(wanted):
            sight = self._see(indices)
            texts = self._generate(sight, [CAPTION_PROMPT] * len(indices), self.limits.max_caption_tokens)
            rows += [caption_row(self.split.examples[i], text) for i, text in zip(indices, texts, strict=True)]
        return rows

    def answers(self) -> list[dict[str, Any]]:
        """An answer to every question; each image of a batch is seen once for all its questions."""
        rows = []
        for pairs in self._batches(questions_of(self.split)):
            images = sorted({index for index, _ in pairs})
            place = torch.tensor([images.index(index) for index, _ in pairs], device=self.family.device)
            prompts = [question_prompt(question.text) for _, question in pairs]
            texts = self._generate(self._see(images).take(place), prompts, self.limits.max_answer_tokens)
            for (index, question), text in zip(pairs, texts, strict=True):
                rows.append(answer_row(self.split.examples[index], question, text))
        return rows

    def embeddings(self) -> tuple[Tensor, Tensor, Tensor]:
        """Image embeddings ``[I, E]``, caption embeddings ``[C, E]``, and the image of each caption ``[C]``."""
        everything = list(range(len(self.split)))
        images = [self.family.embed_images(self._pixels(indices)) for indices in self._batches(everything)]
        captions = captions_of(self.split)
        ids = [self._encode(continuation(text)) for _, _, text in captions]
        texts = [self.family.embed_texts(batch) for batch in self._batches(ids)]
        return torch.cat(images), torch.cat(texts), torch.tensor([index for index, _, _ in captions])

    def text_losses(self) -> tuple[dict[str, float], dict[str, str]]:
        """Nats per token of each text, and the image of each text."""
        texts = [
            (caption, CAPTION_PROMPT + continuation(text), index) for index, caption, text in captions_of(self.split)
        ]
        for index, question in questions_of(self.split):
            said = question_prompt(question.text) + continuation(question.answers[0])
            texts.append((question.id, said, index))
        losses: dict[str, float] = {}
        for batch in self._batches(texts):
            nats = self.family.text_nats([self._encode(said) for _, said, _ in batch]).tolist()
            losses |= {text_id: loss for (text_id, _, _), loss in zip(batch, nats, strict=True)}
        return losses, {text_id: self.split.examples[index].image_id for text_id, _, index in texts}

    def _generate(self, sight: Any, prompts: list[str], max_new_tokens: int) -> list[str]:
        ids = [self.tokenizer.encode(prompt) for prompt in prompts]
        return [self.tokenizer.decode(new) for new in self.family.generate(sight, ids, max_new_tokens)]

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text)[: self.max_text_tokens]

    def _see(self, indices: Sequence[int]) -> Any:
        return self.family.see(self._pixels(indices))

    def _pixels(self, indices: Sequence[int]) -> Tensor:
        return self.split.images(list(indices)).to(self.family.device)

    def _batches(self, items: list[Any]) -> Iterator[list[Any]]:
        for start in range(0, len(items), self.limits.batch_size):
            yield items[start : start + self.limits.batch_size]
