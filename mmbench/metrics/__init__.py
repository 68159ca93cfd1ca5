"""Scores that equal the field's reference implementations; the plain functions of text need no torch.

Names are imported when they are first used, so that scoring text does not pay for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmbench.metrics.answers.vqa import exact_match, mean_by_group, multiple_choice_accuracy, vqa_accuracy
    from mmbench.metrics.captions.bleu import BleuScores, bleu
    from mmbench.metrics.captions.cider import DocumentFrequency, cider, cider_d
    from mmbench.metrics.captions.consensus import consensus_caption
    from mmbench.metrics.captions.rouge import rouge_l
    from mmbench.metrics.modules.answers import ExactMatch, VQAAccuracy
    from mmbench.metrics.modules.captions import Bleu, Cider, CiderD, RougeL
    from mmbench.metrics.modules.retrieval import CrossModalRecall
    from mmbench.metrics.retrieval.ranks import QueryRanks, RetrievalScores
    from mmbench.metrics.retrieval.recall import coco_5x1k, cross_modal_recall, recall_from_scores

__all__ = [
    "Bleu",
    "BleuScores",
    "Cider",
    "CiderD",
    "CrossModalRecall",
    "DocumentFrequency",
    "ExactMatch",
    "QueryRanks",
    "RetrievalScores",
    "RougeL",
    "VQAAccuracy",
    "bleu",
    "cider",
    "cider_d",
    "coco_5x1k",
    "consensus_caption",
    "cross_modal_recall",
    "exact_match",
    "mean_by_group",
    "multiple_choice_accuracy",
    "recall_from_scores",
    "rouge_l",
    "vqa_accuracy",
]

_MODULE_OF = {
    "Bleu": "modules.captions",
    "BleuScores": "captions.bleu",
    "Cider": "modules.captions",
    "CiderD": "modules.captions",
    "CrossModalRecall": "modules.retrieval",
    "DocumentFrequency": "captions.cider",
    "ExactMatch": "modules.answers",
    "QueryRanks": "retrieval.ranks",
    "RetrievalScores": "retrieval.ranks",
    "RougeL": "modules.captions",
    "VQAAccuracy": "modules.answers",
    "bleu": "captions.bleu",
    "cider": "captions.cider",
    "cider_d": "captions.cider",
    "coco_5x1k": "retrieval.recall",
    "consensus_caption": "captions.consensus",
    "cross_modal_recall": "retrieval.recall",
    "exact_match": "answers.vqa",
    "mean_by_group": "answers.vqa",
    "multiple_choice_accuracy": "answers.vqa",
    "recall_from_scores": "retrieval.recall",
    "rouge_l": "captions.rouge",
    "vqa_accuracy": "answers.vqa",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
