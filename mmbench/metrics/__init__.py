"""Scores that equal the field's reference implementations; the plain functions of text need no torch.

Names are imported when they are first used, so that scoring text does not pay for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmbench.metrics.answers.choices import choice_accuracy
    from mmbench.metrics.answers.vqa import exact_match, mean_by_group, multiple_choice_accuracy, vqa_accuracy
    from mmbench.metrics.captions.bleu import BleuScores, bleu
    from mmbench.metrics.captions.cider import DocumentFrequency, cider, cider_d
    from mmbench.metrics.captions.consensus import consensus_caption
    from mmbench.metrics.captions.rouge import rouge_l
    from mmbench.metrics.classification.calibration import Calibration, calibration, top_label
    from mmbench.metrics.classification.linear_probe import LinearProbe, fit_linear_probe
    from mmbench.metrics.classification.zero_shot import class_embeddings, zero_shot_accuracy, zero_shot_ranks
    from mmbench.metrics.java.meteor import MeteorScores, meteor
    from mmbench.metrics.java.programs import NotComputed, unavailable
    from mmbench.metrics.java.spice import spice
    from mmbench.metrics.language_model.token_loss import TokenLosses, token_loss
    from mmbench.metrics.modules.answers import ExactMatch, VQAAccuracy
    from mmbench.metrics.modules.captions import Bleu, Cider, CiderD, RougeL
    from mmbench.metrics.modules.classification import ExpectedCalibrationError, ZeroShotAccuracy
    from mmbench.metrics.modules.java import Meteor, Spice
    from mmbench.metrics.modules.retrieval import CrossModalRecall
    from mmbench.metrics.modules.token_loss import TokenLoss
    from mmbench.metrics.retrieval.ranks import QueryRanks, RetrievalScores
    from mmbench.metrics.retrieval.recall import (
        Coco5x1k,
        coco_5x1k,
        cross_modal_recall,
        first_captions,
        recall_from_scores,
    )
    from mmbench.metrics.retrieval.reranked import first_candidates, reranked_ranks

__all__ = [
    "Bleu",
    "BleuScores",
    "Calibration",
    "Cider",
    "CiderD",
    "Coco5x1k",
    "CrossModalRecall",
    "DocumentFrequency",
    "ExactMatch",
    "ExpectedCalibrationError",
    "LinearProbe",
    "Meteor",
    "MeteorScores",
    "NotComputed",
    "QueryRanks",
    "RetrievalScores",
    "RougeL",
    "Spice",
    "TokenLoss",
    "TokenLosses",
    "VQAAccuracy",
    "ZeroShotAccuracy",
    "bleu",
    "calibration",
    "choice_accuracy",
    "cider",
    "cider_d",
    "class_embeddings",
    "coco_5x1k",
    "consensus_caption",
    "cross_modal_recall",
    "exact_match",
    "first_candidates",
    "first_captions",
    "fit_linear_probe",
    "mean_by_group",
    "meteor",
    "multiple_choice_accuracy",
    "recall_from_scores",
    "reranked_ranks",
    "rouge_l",
    "spice",
    "token_loss",
    "top_label",
    "unavailable",
    "vqa_accuracy",
    "zero_shot_accuracy",
    "zero_shot_ranks",
]

_MODULE_OF = {
    "Bleu": "modules.captions",
    "BleuScores": "captions.bleu",
    "Calibration": "classification.calibration",
    "Cider": "modules.captions",
    "CiderD": "modules.captions",
    "Coco5x1k": "retrieval.recall",
    "CrossModalRecall": "modules.retrieval",
    "DocumentFrequency": "captions.cider",
    "ExactMatch": "modules.answers",
    "ExpectedCalibrationError": "modules.classification",
    "LinearProbe": "classification.linear_probe",
    "Meteor": "modules.java",
    "MeteorScores": "java.meteor",
    "NotComputed": "java.programs",
    "QueryRanks": "retrieval.ranks",
    "RetrievalScores": "retrieval.ranks",
    "RougeL": "modules.captions",
    "Spice": "modules.java",
    "TokenLoss": "modules.token_loss",
    "TokenLosses": "language_model.token_loss",
    "VQAAccuracy": "modules.answers",
    "ZeroShotAccuracy": "modules.classification",
    "bleu": "captions.bleu",
    "calibration": "classification.calibration",
    "choice_accuracy": "answers.choices",
    "cider": "captions.cider",
    "cider_d": "captions.cider",
    "class_embeddings": "classification.zero_shot",
    "coco_5x1k": "retrieval.recall",
    "consensus_caption": "captions.consensus",
    "cross_modal_recall": "retrieval.recall",
    "exact_match": "answers.vqa",
    "first_candidates": "retrieval.reranked",
    "first_captions": "retrieval.recall",
    "fit_linear_probe": "classification.linear_probe",
    "mean_by_group": "answers.vqa",
    "meteor": "java.meteor",
    "multiple_choice_accuracy": "answers.vqa",
    "recall_from_scores": "retrieval.recall",
    "reranked_ranks": "retrieval.reranked",
    "rouge_l": "captions.rouge",
    "spice": "java.spice",
    "token_loss": "language_model.token_loss",
    "top_label": "classification.calibration",
    "unavailable": "java.programs",
    "vqa_accuracy": "answers.vqa",
    "zero_shot_accuracy": "classification.zero_shot",
    "zero_shot_ranks": "classification.zero_shot",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
