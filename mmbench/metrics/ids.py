"""Matching predictions to what they are scored against, by id."""

import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Literal, TypeVar

Id = TypeVar("Id", bound=Hashable)

Missing = Literal["error", "zero"]
"""What happens to an id without prediction: an error, or the score of an empty prediction and a warning."""


def match_ids(
    references: Mapping[Id, object], predictions: Mapping[Id, str], missing: Missing = "error"
) -> Mapping[Id, str]:
    """The predictions, with empty ones for missing ids where that was asked for.

    Raises:
        ValueError: predictions for unknown ids; missing predictions where `missing` is "error".
    """
    extra = [example for example in predictions if example not in references]
    absent = [example for example in references if example not in predictions]
    if extra:
        raise ValueError(f"{len(extra)} predictions have ids without references, such as {_first(extra)}")
    if absent and missing == "error":
        raise ValueError(f"{len(absent)} of {len(references)} ids have no prediction, such as {_first(absent)}")
    if absent:
        warnings.warn(f"{len(absent)} missing predictions are scored as empty", stacklevel=3)
        return {**predictions, **dict.fromkeys(absent, "")}
    return predictions


def _first(ids: Sequence[Hashable]) -> str:
    return ", ".join(repr(example) for example in ids[:5])
