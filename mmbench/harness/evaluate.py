"""Scoring one trained cell on a split, example by example: all that its family can do and the data has."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mmbench.config.data import DataSettings
from mmbench.config.errors import UserError
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.evaluation_split import EvaluationSplit
from mmbench.data.example import TEST
from mmbench.data.tokenizer import TextTokenizer
from mmbench.families.family import Family
from mmbench.harness.applicable import WITHOUT_IMAGE, Ability, Measure, to_score
from mmbench.harness.classification import classes_of, linear_probe, zero_shot
from mmbench.harness.precision import inference
from mmbench.harness.reranking import reranked
from mmbench.harness.scorer import Scorer
from mmbench.harness.tables import (
    ScoreTable,
    captions_of,
    predictions_frame,
    score_answers,
    score_captions,
    score_choices,
    score_images,
    score_matches,
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
    """One row a generated text, or a choice."""


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
    """Score what the family can do, the data has and the settings ask for, each as its own step."""
    left_out = to_score(Ability.of(family), datamodule, settings.evaluation, name)
    steps = [measure for measure, reason in left_out.items() if not reason]
    family.eval()
    scorer = Scorer(family, datamodule.split(name), datamodule.tokenizer, settings, datamodule.frequent_answers)
    work = _Work(scorer, datamodule)
    whole, done = sum(_SHARES[step] for step in steps), 0
    with inference(settings.trainer, family.device):
        for step in steps:

            def tell(part: float, share: int = _SHARES[step], before: int = done) -> None:
                progress((before + part * share) / whole)

            _STEPS[step](work, tell)
            done += _SHARES[step]
            progress(done / whole)
    return Evaluation(work.table.frame(system, seed), predictions_frame(work.rows, system, seed, name))


def text_losses(
    family: Family, split: EvaluationSplit, tokenizer: TextTokenizer, settings: Settings
) -> tuple[dict[str, float], dict[str, str]]:
    """Nats per token of every caption and question of a split, read without the image; and each one's image."""
    family.eval()
    with inference(settings.trainer, family.device):
        return Scorer(family, split, tokenizer, settings).text_losses()


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


@dataclass
class _Work:
    """What the steps of one evaluation share, and what they leave."""

    scorer: Scorer
    datamodule: MultimodalDataModule
    table: ScoreTable = field(default_factory=ScoreTable)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def caption(self, progress: Progress) -> None:
        captions = self.scorer.captions()
        self.rows += captions
        score_captions(self.table, self.scorer.split, _said(captions))

    def answer(self, progress: Progress) -> None:
        answers = self.scorer.answers()
        self.rows += answers
        score_answers(self.table, self.scorer.split, _said(answers))

    def without_image(self, progress: Progress) -> None:
        answers = self.scorer.answers(with_image=False)
        self.rows += answers
        score_answers(self.table, self.scorer.split, _said(answers), WITHOUT_IMAGE)

    def choose(self, progress: Progress) -> None:
        choices, scores = self.scorer.choices()
        self.rows += choices
        score_choices(self.table, self.scorer.split, scores)

    def match(self, progress: Progress) -> None:
        score_matches(self.table, self.scorer.split, self.scorer.matches())

    def retrieve(self, progress: Progress) -> None:
        owner = torch.tensor([index for index, _, _ in captions_of(self.scorer.split)])
        ranks = cross_modal_recall(self.scorer.image_embeddings, self.scorer.caption_embeddings, owner)
        score_retrieval(self.table, self.scorer.split, ranks, RECALL_KS)

    def rerank(self, progress: Progress) -> None:
        num_candidates = self.scorer.limits.rerank
        ranks = reranked(self.scorer, num_candidates, progress)
        # Beyond the candidates nothing has a new order.
        ks = [k for k in RECALL_KS if k <= num_candidates]
        score_retrieval(self.table, self.scorer.split, ranks, ks, "reranked_")

    def zero_shot(self, progress: Progress) -> None:
        score_images(self.table, "zero_shot_accuracy", zero_shot(self.scorer, classes_of(self.datamodule)))

    def probe(self, progress: Progress) -> None:
        scores = linear_probe(self.scorer, self.datamodule, classes_of(self.datamodule))
        score_images(self.table, "linear_probe_accuracy", scores)

    def text(self, progress: Progress) -> None:
        self.table.add("text_loss", *self.scorer.text_losses())


_STEPS: dict[Measure, Callable[[_Work, Progress], None]] = {
    "caption": _Work.caption,
    "answer": _Work.answer,
    "without_image": _Work.without_image,
    "choose": _Work.choose,
    "match": _Work.match,
    "retrieve": _Work.retrieve,
    "rerank": _Work.rerank,
    "zero_shot": _Work.zero_shot,
    "probe": _Work.probe,
    "text": _Work.text,
}
_SHARES: dict[Measure, int] = {
    "caption": 3,
    "answer": 4,
    "without_image": 4,
    "choose": 2,
    "match": 4,
    "retrieve": 2,
    "rerank": 20,
    "zero_shot": 1,
    "probe": 3,
    "text": 1,
}
"""About how long each step takes beside the others, for the progress."""


def _said(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["example_id"]: row["prediction"] for row in rows}
