"""Baselines that do not train: what a uniform draw, and what the most common answer, would score."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mmbench.config.training import EvaluationSettings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.evaluation_split import EvaluationSplit
from mmbench.data.example import TRAIN, Question
from mmbench.harness.applicable import UNTRAINED_ABILITY, WITHOUT_IMAGE, to_score
from mmbench.harness.classification import classes_of
from mmbench.harness.evaluate import RECALL_KS, Evaluation
from mmbench.harness.tables import (
    ScoreTable,
    answer_row,
    caption_row,
    captions_of,
    choice_row,
    choices_of,
    predictions_frame,
    questions_of,
    score_answers,
    score_captions,
    score_choices,
    score_images,
    score_matches,
    score_retrieval,
)
from mmbench.metrics import choice_accuracy, consensus_caption, cross_modal_recall
from mmbench.metrics.answers.normalization import normalize_answer, strip_answer


@dataclass(frozen=True)
class Baseline:
    """What a baseline says and prefers; it tells no image from another."""

    say: Callable[[Question | None], str]
    """The caption (for None) or the answer to a question."""
    weigh: Callable[[Question], list[float]]
    """A score of each choice of a question."""
    prefer: Callable[[Sequence[str]], list[float]]
    """A score of each label."""


def chance(datamodule: MultimodalDataModule, seed: int) -> Baseline:
    """A caption, or an answer, drawn uniformly from those of the training split; all choices and labels alike."""
    captions, questions = datamodule.train_texts()
    answers = [answer for question in questions for answer in question.answers]
    draws = np.random.Generator(np.random.Philox(key=seed))

    def say(question: Question | None) -> str:
        texts = captions if question is None else answers
        return texts[int(draws.integers(len(texts)))]

    return Baseline(say, lambda question: [0.0] * len(question.choices), lambda labels: [0.0] * len(labels))


def majority(datamodule: MultimodalDataModule) -> Baseline:
    """The training caption closest to all others by mean CIDEr-D; the most frequent answer of the question's kind.

    Of several choices or labels, the one that is most frequent in training (an answer: among questions of its kind).
    """
    _, questions = datamodule.train_texts()
    by_kind: dict[str, Counter[str]] = {}
    for question in questions:
        by_kind.setdefault(question.kind, Counter()).update(question.answers)
    common = {kind: _most_common(counts) for kind, counts in by_kind.items()}
    overall = _most_common(sum(by_kind.values(), Counter()))
    normalised = {kind: _normalised(counts) for kind, counts in by_kind.items()}
    examples = datamodule.split(TRAIN).examples
    of_images = [example.captions for example in examples if example.captions]
    caption = consensus_caption(of_images) if of_images else ""
    labels = Counter(example.label for example in examples)

    def weigh(question: Question) -> list[float]:
        counts = normalised.get(question.kind, Counter())
        return [float(counts[normalize_answer(strip_answer(choice))]) for choice in question.choices]

    return Baseline(
        lambda question: caption if question is None else common.get(question.kind, overall),
        weigh,
        lambda names: [float(labels[name]) for name in names],
    )


def _most_common(counts: Counter[str]) -> str:
    """Ties go to the first in the alphabet, so that every machine gives the same answer."""
    return min(counts, key=lambda answer: (-counts[answer], answer), default="")


def _normalised(counts: Counter[str]) -> Counter[str]:
    joined: Counter[str] = Counter()
    for answer, count in counts.items():
        joined[normalize_answer(strip_answer(answer))] += count
    return joined


def evaluate_baseline(
    baseline: Baseline,
    datamodule: MultimodalDataModule,
    name: str,
    evaluation: EvaluationSettings,
    *,
    system: str,
    seed: int,
) -> Evaluation:
    """Score a baseline on a split.

    What asks for a difference between images (Recall@K, whether a caption belongs) gets what equal scores for all
    candidates give, exactly.
    """
    split = datamodule.split(name)
    table, rows = ScoreTable(), []
    steps = {m for m, reason in to_score(UNTRAINED_ABILITY, datamodule, evaluation, name).items() if not reason}
    if "caption" in steps:
        captioned = [example for example in split.examples if example.captions]
        said = {example.image_id: baseline.say(None) for example in captioned}
        score_captions(table, split, said)
        rows += [caption_row(example, said[example.image_id]) for example in captioned]
    if "answer" in steps:
        asked = questions_of(split)
        answered = {question.id: baseline.say(question) for _, question in asked}
        for suffix in ("", WITHOUT_IMAGE) if "without_image" in steps else ("",):
            score_answers(table, split, answered, suffix)
        rows += [answer_row(split.examples[index], question, answered[question.id]) for index, question in asked]
    if "choose" in steps:
        weighed = {question.id: baseline.weigh(question) for _, question in choices_of(split)}
        score_choices(table, split, weighed)
        rows += [choice_row(split.examples[index], q, weighed[q.id]) for index, q in choices_of(split)]
    if "match" in steps:
        score_matches(table, split, {caption_id: [0.0, 0.0] for _, caption_id, _ in captions_of(split)})
    if "retrieve" in steps:
        _score_collapsed_retrieval(table, split, evaluation.rerank if "rerank" in steps else 0)
    for step, metric in (("zero_shot", "zero_shot_accuracy"), ("probe", "linear_probe_accuracy")):
        if step in steps:
            score_images(table, metric, _label_scores(baseline, datamodule, split))
    return Evaluation(table.frame(system, seed), predictions_frame(rows, system, seed, name))


def _score_collapsed_retrieval(table: ScoreTable, split: EvaluationSplit, num_candidates: int) -> None:
    owner = torch.tensor([index for index, _, _ in captions_of(split)])
    ranks = cross_modal_recall(torch.ones(len(split), 1), torch.ones(len(owner), 1), owner)
    score_retrieval(table, split, ranks, RECALL_KS)
    # The first candidates of a draw, drawn anew, are a draw.
    score_retrieval(table, split, ranks, [k for k in RECALL_KS if k <= num_candidates], "reranked_")


def _label_scores(baseline: Baseline, datamodule: MultimodalDataModule, split: EvaluationSplit) -> dict[str, float]:
    classes = classes_of(datamodule)
    labels = {example.image_id: classes.index(example.label) for example in split.examples if example.label}
    return choice_accuracy(dict.fromkeys(labels, baseline.prefer(classes)), labels)
