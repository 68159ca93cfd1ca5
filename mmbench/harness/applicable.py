"""What is scored for whom: what the family can do and the data has; all else is "not applicable", and why."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from mmbench.config.errors import UserError
from mmbench.config.settings import Settings
from mmbench.config.training import EvaluationSettings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.example import TEST, TRAIN, VALIDATION
from mmbench.families.family import Family
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

    measures: frozenset[Measure]
    """The steps of the evaluation that it can take part in."""
    kind: Literal["family", "baseline"] = "family"
    """Which of the two it is, for the words of a reason."""

    @classmethod
    def of(cls, family: type[Family]) -> "Ability":
        """Of a family: by its tasks, and by what it makes of images alone or of none."""
        can: set[Measure] = {task for task in family.tasks if task != "rerank"}
        if "retrieve" in family.tasks:
            can.add("zero_shot")
            if "rerank" in family.tasks:
                can.add("rerank")
        if "answer" in family.tasks and family.see_nothing is not Family.see_nothing:
            can.add("without_image")
        if family.image_features is not Family.image_features:
            can.add("probe")
        return cls(frozenset(can))


UNTRAINED_ABILITY = Ability(frozenset(MEASURED) - {"text"}, "baseline")
"""Of the baselines that do not train: they read no text, all else can be drawn or fixed beforehand."""


def to_score(
    ability: Ability, datamodule: MultimodalDataModule, evaluation: EvaluationSettings, split: str = TEST
) -> dict[Measure, str]:
    """Every step that the settings ask for -> why it is left out; empty where it is not."""
    has = _contents(datamodule, split)
    return {
        measure: "" if measure in ability.measures and need <= has else _reason(measure, ability, need - has)
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


def check_decisive(system: str, family: type[Family], datamodule: MultimodalDataModule, settings: Settings) -> None:
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
    "caption": "writes no captions",
    "answer": "answers no questions",
    "without_image": "answers nothing without an image",
    "choose": "does not choose among answers",
    "match": "does not tell whether a caption belongs to an image",
    "retrieve": "embeds no images and texts",
    "rerank": "cannot order candidates anew",
    "zero_shot": "embeds no images and texts",
    "probe": "reads no image by itself",
    "text": "no language model",
}


def _asked(measure: Measure, evaluation: EvaluationSettings) -> bool:
    optional = {"rerank": bool(evaluation.rerank), "probe": evaluation.probe, "without_image": evaluation.without_image}
    return optional.get(measure, True)


def _reason(measure: Measure, ability: Ability, lacks: Collection[str]) -> str:
    """The data's lack goes before the family's: it is the same for all systems."""
    if lacks:
        return f"the data has no {' and no '.join(sorted(lacks))}"
    return _CANNOT[measure] if measure == "text" else f"the {ability.kind} {_CANNOT[measure]}"


def _contents(datamodule: MultimodalDataModule, split: str) -> frozenset[str]:
    examples = datamodule.split(split).examples
    found = {"captions": "caption" in datamodule.tasks, "questions": "answer" in datamodule.tasks}
    found["multiple-choice questions"] = any(question.choices for each in examples for question in each.questions)
    trained = datamodule.split(TRAIN).examples
    found["labels"] = all(any(example.label for example in part) for part in (examples, trained))
    return frozenset(name for name, there in found.items() if there)
