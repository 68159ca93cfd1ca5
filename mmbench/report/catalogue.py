"""What each metric is called in tables, how it is scaled there, and how a difference in it is put into words."""

import math
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """How a metric is shown."""

    name: str
    """As in ``scores.parquet``."""
    label: str
    """In running text and figures."""
    short: str
    """In the head of a narrow column."""
    scale: float
    """Factor from the files' values to the tables': 100 for percent."""
    digits: int
    """Decimals at least shown in tables."""
    higher_is_better: bool
    """Direction."""
    bounds: tuple[float, float]
    """Lowest and highest possible value, scaled; shown intervals end there."""
    more: tuple[str, str]
    """Words around the amount: "{A} answers" 4.1 points "more questions right than" {B}."""


_KNOWN = {
    "vqa_accuracy": ("VQA accuracy", "VQA acc.", 100, 1, True, (" answers", "more questions right than")),
    "exact_match": ("Exact match", "Exact match", 100, 1, True, (" answers", "more questions right than")),
    "choice_accuracy": (
        "Multiple choice",
        "Choice",
        100,
        1,
        True,
        (" chooses", "more right answers than"),
    ),
    "match_accuracy": (
        "Caption or foil",
        "Match",
        100,
        1,
        True,
        (" tells", "more captions from a foil than"),
    ),
    "zero_shot_accuracy": (
        "Zero-shot classification",
        "Zero-shot",
        100,
        1,
        True,
        (" names", "more images right without training on labels than"),
    ),
    "linear_probe_accuracy": (
        "Linear probe",
        "Probe",
        100,
        1,
        True,
        ("\N{RIGHT SINGLE QUOTATION MARK}s image features give", "more images their label than those of"),
    ),
    **{
        f"{base}_without_image": (
            f"{label}, image withheld",
            "No image",
            100,
            1,
            True,
            (" answers", "more questions right without the image than"),
        )
        for base, label in (("vqa_accuracy", "VQA accuracy"), ("exact_match", "Exact match"))
    },
    "cider_d": (
        "CIDEr-D",
        "CIDEr-D",
        100,
        1,
        True,
        ("\N{RIGHT SINGLE QUOTATION MARK}s captions score", "higher than those of"),
    ),
    "bleu_4": (
        "BLEU-4",
        "BLEU-4",
        100,
        1,
        True,
        ("\N{RIGHT SINGLE QUOTATION MARK}s captions score", "higher than those of"),
    ),
    "text_loss": (
        "Text loss after training",
        "Text loss",
        1,
        3,
        False,
        ("\N{RIGHT SINGLE QUOTATION MARK}s text loss is", "higher than that of"),
    ),
    "text_loss_before": ("Text loss before training", "Before", 1, 3, False, (" starts", "higher than")),
    "text_loss_change": (
        "Change of the text loss",
        "Change",
        1,
        3,
        False,
        ("\N{RIGHT SINGLE QUOTATION MARK}s text loss rose", "more than that of"),
    ),
    **{
        f"validation_{task}_loss": (
            f"Validation loss, {task}s",
            f"Val. loss, {task}s",
            1,
            3,
            False,
            ("\N{RIGHT SINGLE QUOTATION MARK}s validation loss is", "higher than that of"),
        )
        for task in ("caption", "answer")
    },
}
_RECALL = re.compile(r"^(reranked_)?(text_to_image|image_to_text)_recall(?:@(\d+))?(?:/(optimistic|pessimistic))?$")
_WAYS = ("text_to_image", "image_to_text")
_ORDER = [
    *("vqa_accuracy", "vqa_accuracy_without_image", "exact_match", "exact_match_without_image"),
    *("choice_accuracy", "match_accuracy", "cider_d", "bleu_4"),
    *(f"{step}{way}_recall@{k}" for way in _WAYS for step in ("", "reranked_") for k in (1, 5, 10)),
    *("zero_shot_accuracy", "linear_probe_accuracy"),
    *("text_loss_before", "text_loss", "text_loss_change"),
]
HEADLINES = (
    *("vqa_accuracy", "exact_match", "cider_d", "text_to_image_recall@5", "image_to_text_recall@5"),
    *("choice_accuracy", "match_accuracy"),
)
"""Metrics that the answer speaks of, and that the figures show; the first ones first where there is no room for all."""
FURTHER = ("choice_accuracy", "match_accuracy")
"""Of these, those that the answer speaks of only where two systems have no other headline in common."""
_FRONT_PAGE = (
    *HEADLINES,
    *("text_loss", "zero_shot_accuracy", "linear_probe_accuracy", "text_to_image_recall@1", "image_to_text_recall@1"),
)
_MOST_COLUMNS = 8


def front_page(measured: set[str]) -> list[str]:
    """Columns of the table on page one, in the tables' order: of what was measured, as much as the page holds."""
    return in_order(set([name for name in _FRONT_PAGE if name in measured][:_MOST_COLUMNS]))


def describe(name: str) -> Metric:
    """How ``name`` is shown; a metric that is not known here is shown as it is, higher taken as better."""
    recall = _RECALL.match(name)
    if recall:
        step, way, k, ties = recall.groups()
        arrow = "Text→image" if way == "text_to_image" else "Image→text"
        label = f"{arrow} R@{k or 'K'}" + (", re-ranked" if step else "") + (f" ({ties})" if ties else "")
        first = "first" if k == "1" else f"among the first {k}"
        what = "captions" if way == "text_to_image" else "images"
        thing = "the right image" if way == "text_to_image" else "a right caption"
        short = label.replace("Text→image", "T→I").replace("Image→text", "I→T").replace(", re-ranked", "*")
        more = (f" has {thing} {first} for", f"more of the {what} than")
        return Metric(name, label, short, 100, 1, True, (0, 100), more)
    base, _, kind = name.partition("/")
    if base in _KNOWN:
        label, short, scale, digits, higher, more = _KNOWN[base]
        label, short = (f"{label}, {kind}", kind) if kind else (label, short)
        highest = 1000 if base == "cider_d" else 100 if scale == 100 else math.inf
        lowest = -math.inf if base == "text_loss_change" else 0
        return Metric(name, label, short, scale, digits, higher, (lowest, highest), more)
    return Metric(
        name,
        name,
        name,
        1,
        3,
        True,
        (-math.inf, math.inf),
        (f"\N{RIGHT SINGLE QUOTATION MARK}s {name} is", "higher than that of"),
    )


def ends(entry: dict[str, Any], name: str) -> tuple[float, float]:
    """The ends of an entry's interval as they are shown: scaled, and within what the metric can be; NaN if unknown."""
    shown = describe(name)
    lowest, highest = shown.bounds
    low, high = (math.nan if e is None else min(max(e * shown.scale, lowest), highest) for e in entry["interval"])
    return low, high


def is_headline_variant(name: str) -> bool:
    """Whether ``name`` is a metric of its own, not a bound under ties nor one kind of questions."""
    return "/" not in name


def in_order(names: set[str]) -> list[str]:
    """Known metrics in the tables' order, then the others by name."""
    known = [name for name in _ORDER if name in names]
    return known + sorted(names - set(known))
