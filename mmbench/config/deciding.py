"""Settings of "add seeds until a pair is decided"."""

from collections.abc import Collection
from dataclasses import dataclass, field

from mmbench.config.errors import UserError

_MOST_SEEDS = 100
_FEWEST_SEEDS = 2


@dataclass
class DecidingSettings:
    """Whether seeds are added, one at a time, until a pair of systems is decided on one metric."""

    pair: list[str] = field(default_factory=list)
    """The two systems (or a system and a baseline); if empty, no seed is added."""
    metric: str = ""
    """The metric of the per-example scores; if empty, the first that both have of ``vqa_accuracy``, ``exact_match``,
    ``cider_d``, ``choice_accuracy``, ``match_accuracy``, ``text_to_image_recall@5`` and ``zero_shot_accuracy``."""
    max_seeds: int = 10
    """After so many seeds the pair is left undecided."""
    alpha: float = 0.05
    """The chance, over all looks together, of calling two systems apart that are not."""


def check_deciding(deciding: DecidingSettings, names: Collection[str], seeds: Collection[int]) -> None:
    """Refuse what could never be decided.

    Args:
        deciding: the settings.
        names: the comparison's systems and baselines.
        seeds: the seeds of the first look.

    Raises:
        UserError: with what is allowed.
    """
    if not deciding.pair:
        return
    if len(deciding.pair) != 2 or deciding.pair[0] == deciding.pair[1]:
        raise UserError(f"'deciding.pair' is {deciding.pair}; it must name two different systems")
    for name in deciding.pair:
        if name not in names:
            raise UserError(f"'{name}', of the pair to decide, is not compared here; there are: {', '.join(names)}")
    if len(seeds) < _FEWEST_SEEDS:
        raise UserError(
            f"the first look would be at {len(seeds)} seed, which says nothing of other seeds: start with "
            f"{_FEWEST_SEEDS} or more"
        )
    if not len(seeds) <= deciding.max_seeds <= _MOST_SEEDS:
        raise UserError(
            f"'deciding.max_seeds' is {deciding.max_seeds}; it must be from the {len(seeds)} seeds of the first look "
            f"to {_MOST_SEEDS}"
        )
    if not 0 < deciding.alpha < 1:
        raise UserError(f"'deciding.alpha' is {deciding.alpha:g}; it must lie between 0 and 1, as 0.05 does")
