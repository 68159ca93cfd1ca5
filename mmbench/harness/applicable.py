"""What is scored for whom: what the family can do and the data has; all else is "not applicable", and why."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from mmbench.config.errors import UserError
from mmbench.config.settings import Settings
from mmbench.config.training import EvaluationSettings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.example import TEST, TRAIN, VALIDATION
from mmbench.families.family import Family, Task
from mmbench.harness.tables import FEWEST_ANSWERS

Measure = Literal[
    "caption", "answer", "without_image", "choose", "match", "retrieve", "rerank", "zero_shot", "probe", "text"
]
"""A step of the evaluation."""

WITHOUT_IMAGE = "_without_image"
"""What stands behind the names of the answers' metrics where the image was withheld."""
RECALLS = ("text_to_image_recall", "image_to_text_recall")
MEASURED: dict[Measure, tuple[str, ...]] = {
    "caption": ("cider_d", "bleu_4"),
    "answer": ("vqa_accuracy", "exact_match"),
    "without_image": (f"vqa_accuracy{WITHOUT_IMAGE}", f"exact_match{WITHOUT_IMAGE}"),
    "choose": ("choice_accuracy",),
    "match": ("match_accuracy",),
    "retrieve": RECALLS,
    "rerank": tuple(f"reranked_{name}" for name in RECALLS),
    "zero_shot": ("zero_shot_accuracy",),
    "probe": ("linear_probe_accuracy",),
    "text": ("text_loss", "text_loss_before"),
}
"""The metrics of each step, those of Recall@K without their K."""


@dataclass(frozen=True)
class Ability:
    """What a system, or a baseline, can do."""

    unable: Mapping[Measure, str]
    """The steps of the evaluation that it cannot take part in, and why; it can take part in the others."""

    @classmethod
    def of(cls, family: Family) -> "Ability":
        """Of a system: by its family's tasks, what it learns of them, and what it makes of images alone or of none."""
        unable: dict[Measure, str] = {task: _CANNOT[task] for task in get_args(Task) if task not in family.tasks}
        for task, reason in family.unable().items():
            unable[task] = reason
        if "retrieve" in unable:
            unable["zero_shot"] = unable["retrieve"]
            unable.setdefault("rerank", unable["retrieve"])
        if "answer" in unable:
            unable["without_image"] = unable["answer"]
        elif type(family).see_nothing is Family.see_nothing:
            unable["without_image"] = _CANNOT["without_image"]
        if type(family).image_features is Family.image_features:
            unable["probe"] = _CANNOT["probe"]
        return cls(unable)


def to_score(
    ability: Ability, datamodule: MultimodalDataModule, evaluation: EvaluationSettings, split: str = TEST
) -> dict[Measure, str]:
    """Every step that the settings ask for -> why it is left out; empty where it is not."""
    has = _contents(datamodule, split)
    return {
        measure: _lack(need - has) or ability.unable.get(measure, "")
        for measure, need in _NEEDS.items()
        if _asked(measure, evaluation)
    }


def not_applicable(
    ability: Ability, datamodule: MultimodalDataModule, evaluation: EvaluationSettings, split: str = TEST
) -> dict[str, str]:
    """Metric -> why there is no score of it on a split; those that the settings do not ask for are left out."""
    reasons: dict[str, str] = {}
    enough = any(len(q.answers) >= FEWEST_ANSWERS for e in datamodule.split(split).examples for q in e.questions)
    other = {
        "vqa_accuracy": "" if enough else "fewer than four human answers a question: see exact_match",
        "exact_match": "scored as vqa_accuracy" if enough else "",
    }
    for measure, reason in to_score(ability, datamodule, evaluation, split).items():
        for metric in MEASURED[measure]:
            words = reason or other.get(metric.removesuffix(WITHOUT_IMAGE), "")
            if words:
                reasons[metric] = words
    return reasons


def data_tasks(datamodule: MultimodalDataModule) -> list[str]:
    """What the test split can be scored on, as ``data.json`` names it."""
    has = _contents(datamodule, TEST)
    more = {"choose": "multiple-choice questions", "match": "captions", "classify": "labels"}
    return list(dict.fromkeys([*datamodule.tasks, *(task for task, need in more.items() if need in has)]))


def check_decisive(system: str, family: Family, datamodule: MultimodalDataModule, settings: Settings) -> None:
    """See that a system can be scored by what a pair of it is to be decided on, and by what its search is for.

    Raises:
        UserError: it cannot.
    """
    asked = []
    if system in settings.deciding.pair:
        asked.append((settings.deciding.metric, TEST, "decided on"))
    if settings.tuning.trials and VALIDATION in datamodule.dataset.splits:
        asked.append((settings.tuning.metric, VALIDATION, "tuned by"))
    for metric, split, what in asked:
        reasons = not_applicable(Ability.of(family), datamodule, settings.evaluation, split) if metric else {}
        if (reason := reasons.get(metric.partition("@")[0])) is not None:
            raise UserError(f"'{system}' cannot be {what} {metric}: {reason}")


_NEEDS: dict[Measure, frozenset[str]] = {
    "caption": frozenset(("captions",)),
    "answer": frozenset(("questions",)),
    "without_image": frozenset(("questions",)),
    "choose": frozenset(("multiple-choice questions",)),
    "match": frozenset(("captions",)),
    "retrieve": frozenset(("captions",)),
    "rerank": frozenset(("captions",)),
    "zero_shot": frozenset(("labels",)),
    "probe": frozenset(("labels",)),
    "text": frozenset(),
}
"""What the data must have."""
_CANNOT: dict[Measure, str] = {
    "caption": "the family writes no captions",
    "answer": "the family answers no questions",
    "without_image": "the family answers nothing without an image",
    "choose": "the family does not choose among answers",
    "match": "the family does not tell whether a caption belongs to an image",
    "retrieve": "the family embeds no images and texts",
    "rerank": "the family cannot order candidates anew",
    "probe": "the family reads no image by itself",
    "text": "no language model",
}
"""Why no system of a family takes part, whatever it has learned."""

UNTRAINED_ABILITY = Ability({"text": _CANNOT["text"]})
"""Of the baselines that do not train: they read no text, all else can be drawn or fixed beforehand."""


def _asked(measure: Measure, evaluation: EvaluationSettings) -> bool:
    optional = {"rerank": bool(evaluation.rerank), "probe": evaluation.probe, "without_image": evaluation.without_image}
    return optional.get(measure, True)


def _lack(lacks: Collection[str]) -> str:
    """What the data has not goes before what a system cannot: it is the same for all."""
    return f"the data has no {' and no '.join(sorted(lacks))}" if lacks else ""


def _contents(datamodule: MultimodalDataModule, split: str) -> frozenset[str]:
    examples = datamodule.split(split).examples
    found = {"captions": "caption" in datamodule.tasks, "questions": "answer" in datamodule.tasks}
    found["multiple-choice questions"] = any(question.choices for each in examples for question in each.questions)
    trained = datamodule.split(TRAIN).examples
    found["labels"] = all(any(example.label for example in part) for part in (examples, trained))
    return frozenset(name for name, there in found.items() if there)
