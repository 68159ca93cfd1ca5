"""What a search is for: one number of a trial on the validation split, and its cost where that counts too."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from mmbench.config.errors import UserError, unknown_name
from mmbench.config.training import EvaluationSettings
from mmbench.config.tuning import TuningSettings

VALIDATION_LOSS = "validation_loss"
"""The training objective on the validation split at the end of the budget."""

Direction = Literal["minimize", "maximize"]

_RECALLS = [f"{way}_recall@{k}" for way in ("text_to_image", "image_to_text") for k in (1, 5, 10)]
_TASK_OF = {
    VALIDATION_LOSS: None,
    "text_loss": None,
    "vqa_accuracy": "answer",
    "exact_match": "answer",
    "vqa_accuracy_without_image": "answer",
    "exact_match_without_image": "answer",
    "choice_accuracy": "choose",
    "match_accuracy": "match",
    "cider_d": "caption",
    **dict.fromkeys(_RECALLS, "retrieve"),
    **{f"reranked_{name}": "retrieve" for name in _RECALLS},
    "zero_shot_accuracy": "classify",
    "linear_probe_accuracy": "classify",
}
_FIRST_MARK = 0.01


def check_metric(
    metric: str,
    tasks: list[str] | None = None,
    *,
    per_example: bool = False,
    evaluation: EvaluationSettings | None = None,
) -> None:
    """See that a search can be for a metric, that it is measured, and that the data has it.

    Args:
        metric: its name.
        tasks: what the data can be scored on; None while that is not known.
        per_example: whether a pair is to be decided on it, which takes a score of each example.
        evaluation: what is measured; None while that is not known.

    Raises:
        UserError: it cannot, or the data has not.
    """
    known = [name for name in _TASK_OF if name != VALIDATION_LOSS] if per_example else list(_TASK_OF)
    if metric not in known:
        raise unknown_name(f"metric to {'decide on' if per_example else 'search for'}", metric, known)
    switch = _switched_on_by(metric, evaluation) if evaluation else ""
    if switch:
        raise UserError(f"'{metric}' is not measured as things are: give --set {switch}")
    task = _TASK_OF[metric]
    if tasks is not None and task is not None and task not in tasks:
        raise UserError(f"the data has nothing that '{metric}' could be scored on; it allows: {', '.join(tasks)}")


def task_of(metric: str) -> str:
    """The task of the data that a metric belongs to; empty for one that belongs to none alone."""
    return _TASK_OF[metric] or ""


def _switched_on_by(metric: str, evaluation: EvaluationSettings) -> str:
    """The setting that lets a metric be measured; empty if it is."""
    if metric.startswith("reranked_") and evaluation.rerank < (k := int(metric.split("@")[1])):
        return f"evaluation.rerank={k} (or more)"
    if metric.endswith("_without_image") and not evaluation.without_image:
        return "evaluation.without_image=true"
    if metric == "linear_probe_accuracy" and not evaluation.probe:
        return "evaluation.probe=true"
    return ""


def directions(tuning: TuningSettings) -> "list[Direction]":
    """``minimize`` or ``maximize`` for the metric; the cost, where it counts, is to be small."""
    first: Direction = "minimize" if tuning.metric.endswith("_loss") else "maximize"
    return [first] if tuning.cost == "none" else [first, "minimize"]


def objective(
    tuning: TuningSettings, scores: Mapping[str, float], ledger: Mapping[str, Any], latency_s: float | None
) -> list[float]:
    """The values of a trial in the order of `directions`.

    Args:
        tuning: metric and cost.
        scores: means over the validation split, the validation loss among them.
        ledger: of the trial.
        latency_s: seconds for one caption, where that is the cost.

    Raises:
        UserError: the metric could not be computed, or is no number.
    """
    if tuning.metric not in scores:
        raise UserError(f"the validation split gives no '{tuning.metric}'; it gives: {', '.join(sorted(scores))}")
    value = scores[tuning.metric]
    if not math.isfinite(value):
        raise UserError(f"{tuning.metric} on the validation split is not finite")
    if tuning.cost == "none":
        return [value]
    costs = {
        "latency": latency_s,
        # The budget itself may be in FLOPs, so it is the cost of one sample that tells trials apart.
        "flops": ledger["flops"] / ledger["samples"],
        "parameters": ledger["parameters_total"],
    }
    return [value, float(costs[tuning.cost] or math.nan)]


def mark_of(fraction: float, validation_share: float) -> int:
    """How many shares of validation a trial has spent; the parent and the trial's process must agree on it."""
    return math.floor(round(fraction, 6) / max(validation_share, _FIRST_MARK) + 1e-6)
