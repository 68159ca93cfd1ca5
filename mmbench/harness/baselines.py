"""Baselines that do not train: what a uniform draw, and what the most common answer, would score."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import torch

from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.evaluation_split import EvaluationSplit
from mmbench.data.example import TRAIN, Question
from mmbench.harness.evaluate import RECALL_KS, Evaluation
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
from mmbench.metrics import consensus_caption, cross_modal_recall

Say = Callable[[Question | None], str]
"""The caption (for None) or the answer to a question."""


def chance(datamodule: MultimodalDataModule, seed: int) -> Say:
    """A caption, or an answer, drawn uniformly from those of the training split."""
    captions, questions = datamodule.train_texts()
    answers = [answer for question in questions for answer in question.answers]
    draws = np.random.Generator(np.random.Philox(key=seed))

    def say(question: Question | None) -> str:
        texts = captions if question is None else answers
        return texts[int(draws.integers(len(texts)))]

    return say


def majority(datamodule: MultimodalDataModule) -> Say:
    """The training caption closest to all others by mean CIDEr-D; the most frequent answer of the question's kind."""
    _, questions = datamodule.train_texts()
    by_kind: dict[str, Counter[str]] = {}
    for question in questions:
        by_kind.setdefault(question.kind, Counter()).update(question.answers)
    common = {kind: _most_common(counts) for kind, counts in by_kind.items()}
    overall = _most_common(sum(by_kind.values(), Counter()))
    of_images = [example.captions for example in datamodule.split(TRAIN).examples if example.captions]
    caption = consensus_caption(of_images) if of_images else ""
    return lambda question: caption if question is None else common.get(question.kind, overall)


def _most_common(counts: Counter[str]) -> str:
    """Ties go to the first in the alphabet, so that every machine gives the same answer."""
    return min(counts, key=lambda answer: (-counts[answer], answer), default="")


def evaluate_baseline(say: Say, datamodule: MultimodalDataModule, name: str, *, system: str, seed: int) -> Evaluation:
    """Score what ``say`` says on a split; its Recall@K is what equal scores for all candidates give, exactly."""
    split = datamodule.split(name)
    table, rows = ScoreTable(), []
    if "caption" in datamodule.tasks:
        captioned = [example for example in split.examples if example.captions]
        said = {example.image_id: say(None) for example in captioned}
        score_captions(table, split, said)
        rows += [caption_row(example, said[example.image_id]) for example in captioned]
    if "answer" in datamodule.tasks:
        asked = questions_of(split)
        answered = {question.id: say(question) for _, question in asked}
        score_answers(table, split, answered)
        rows += [answer_row(split.examples[index], question, answered[question.id]) for index, question in asked]
    if "retrieve" in datamodule.tasks:
        _score_collapsed_retrieval(table, split)
    return Evaluation(table.frame(system, seed), predictions_frame(rows, system, seed, name))


def _score_collapsed_retrieval(table: ScoreTable, split: EvaluationSplit) -> None:
    owner = torch.tensor([index for index, _, _ in captions_of(split)])
    ranks = cross_modal_recall(torch.ones(len(split), 1), torch.ones(len(owner), 1), owner)
    score_retrieval(table, split, ranks, RECALL_KS)
