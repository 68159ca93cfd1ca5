"""What scoring result files gives, whatever the task."""

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mmbench.config.errors import UserError
from mmbench.config.whole_file import whole_file

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, int, int], None]
"""told what is being done, and how many of how many steps are behind"""


@dataclass(frozen=True)
class ExampleScores:
    """The scores of one metric, example by example."""

    metric: str
    example_ids: Sequence[object]
    """of the question, image or caption"""
    cluster_ids: Sequence[object]
    """of its image"""
    scores: Sequence[float]
    """unrounded"""


@dataclass(frozen=True)
class Scores:
    """The scores of one set of result files."""

    title: str
    """what was scored, and how much of it"""
    values: dict[str, float]
    """by metric; unrounded fractions, CIDEr-D 0..10, ranks from 1"""
    per_example: list[ExampleScores]
    """metrics that have a score for each example"""
    notes: list[str]
    """what the reader of the numbers should know, a sentence each"""
    not_computed: dict[str, str] = field(default_factory=dict)
    """metrics that were asked for and could not be computed, and why"""

    def frame(self) -> "pd.DataFrame":
        """Columns metric, example_id, cluster_id (strings) and score."""
        import pandas as pd

        frames = [
            pd.DataFrame(
                {
                    "metric": rows.metric,
                    "example_id": list(map(str, rows.example_ids)),
                    "cluster_id": list(map(str, rows.cluster_ids)),
                    "score": rows.scores,
                }
            )
            for rows in self.per_example
        ]
        return pd.concat(frames, ignore_index=True)

    def write_json(self, path: Path) -> None:
        """Write `{metric: value}`, whole or not at all."""
        with whole_file(path) as part:
            part.write_text(json.dumps(self.values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def write_per_example(self, path: Path) -> None:
        """Write `frame()` as parquet, whole or not at all."""
        with whole_file(path) as part:
            self.frame().to_parquet(part, index=False)


def mean(scores: Iterable[float]) -> float:
    """The plain mean, added up in order."""
    values = list(scores)
    return sum(values) / len(values)


def counted(number: int, noun: str) -> str:
    """ "1 image", "40,504 images"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def unheard(what: str, done: int, total: int) -> None:
    """The progress that nobody wants to see."""


@contextmanager
def heard(notes: list[str]) -> Iterator[None]:
    """What the metrics warn of becomes notes, each once, instead of lines with a place in their source."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    notes += dict.fromkeys(str(warning.message) for warning in caught if issubclass(warning.category, UserWarning))


@contextmanager
def refusals() -> Iterator[None]:
    """A value that a metric refuses was in the user's files.

    Raises:
        UserError: for a `ValueError` of the block.
    """
    try:
        yield
    except ValueError as error:
        raise UserError(str(error)) from error
