"""Making the systems' counts of parameters equal, by one width of each; what cannot be made equal is said."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from mmbench.config.errors import UserError
from mmbench.config.model import SystemSettings
from mmbench.config.settings import Settings
from mmbench.config.system import objective_weights, own_settings
from mmbench.families.family import SharedParts
from mmbench.families.registry import build_family, family_class
from mmbench.families.trainee import Trainee
from mmbench.harness.run_files import RunFiles, read_json, write_json

TOLERANCE = 0.01
"""Counts that differ by more than this share are not equal."""

WORDS = {
    "params": "parameters",
    "trainable": "parameters that train",
    "active": "parameters that a sample goes through",
}
"""What each choice of ``match`` counts."""

PartsOf = Callable[[Settings], SharedParts]
"""Settings -> the encoder and language model that systems with these settings start from."""

_WIDEST = 2**22
"""No width beyond this is tried."""


@dataclass
class Matched:
    """What was done to one system."""

    system: str
    """Its name."""
    option: str
    """The option of its family that says the width; empty: the family has none."""
    width: int | None
    """The width that was found; None: the system was left as it was."""
    count: int
    """Its parameters of the kind that is matched, now."""
    target: int
    """What they were to be."""
    reason: str
    """Why they are not within 1% of that; empty if they are."""

    @property
    def deviation(self) -> float:
        """Of the count from the target, as a share of the target."""
        return self.count / self.target - 1

    def __str__(self) -> str:
        if self.reason:
            return f"{self.system} is not matched, {self.deviation:+.1%}: {self.reason}"
        moved = "as it is" if self.width is None else f"by {self.option}={self.width}"
        return f"{self.system} is matched {moved}: {self.count:,}, {self.deviation:+.2%}"


def match_parameters(settings: Settings, parts_of: PartsOf) -> list[Matched]:
    """Find for each system the width with which its parameters come closest to those of the largest system.

    The largest, because what a family adds can always be made wider, but not always narrower: attention, norms and
    gates stand in a gated layer however narrow its feed-forward is. The largest system stays exactly as it is set, and
    no matched system is smaller than it was.

    Args:
        settings: with ``match`` other than ``none``; their systems' options are where the search starts.
        parts_of: makes the parts that systems with given settings start from; only their sizes matter.
    """
    count = _Counts(settings, parts_of)
    as_set = {name: count(system) for name, system in settings.systems.items()}
    target = max(as_set.values())
    return [_matched(name, system, as_set[name], target, count) for name, system in settings.systems.items()]


def with_widths(systems: Mapping[str, SystemSettings], matched: list[Matched]) -> dict[str, SystemSettings]:
    """The systems with the widths that were found."""
    found = {one.system: {one.option: one.width} for one in matched if one.width is not None}
    return {name: replace(s, options=s.options | found.get(name, {})) for name, s in systems.items()}


def save_matching(settings: Settings, matched: list[Matched], files: RunFiles) -> None:
    """Write ``matching.json``."""
    said = {one.system: {"deviation": round(one.deviation, 6), "said": str(one)} for one in matched}
    systems = {one.system: asdict(one) | said[one.system] for one in matched}
    write_json(files.matching, {"match": settings.match, "counts": WORDS[settings.match], "systems": systems})


def load_matching(files: RunFiles) -> list[Matched]:
    """What ``matching.json`` holds; nothing where a run matches nothing."""
    if not files.matching.exists():
        return []
    found: dict[str, Any] = read_json(files.matching)["systems"]
    return [Matched(**{key: one[key] for key in Matched.__dataclass_fields__}) for one in found.values()]


class _Counts:
    """Counts the parameters of a system with given options, without making their memory."""

    def __init__(self, settings: Settings, parts_of: PartsOf) -> None:
        self.settings, self.parts_of = settings, parts_of
        self.parts: dict[str, SharedParts] = {}

    def __call__(self, system: SystemSettings) -> int:
        """The count that ``match`` names.

        Raises:
            UserError: the options fit the family not.
        """
        with torch.device("meta"):
            family = build_family(system, self._parts(system), objective_weights(self.settings, system))
            if self.settings.match == "trainable":
                return max(trainable_parameters(family, stage.train) for stage in system.stages)
            counts = family.parameter_counts()
        return counts["parameters_total" if self.settings.match == "params" else "parameters_active"]

    def _parts(self, system: SystemSettings) -> SharedParts:
        """The parts that the system starts from, on the meta device; a copy, since a family may drop some of them."""
        own = own_settings(self.settings, system)
        key = repr((own.encoder, own.language_model))
        if key not in self.parts:
            parts = self.parts_of(own)
            self.parts[key] = replace(parts, encoder=parts.encoder.to("meta"), decoder=parts.decoder.to("meta"))
        return copy.deepcopy(self.parts[key])


def trainable_parameters(family: Trainee, parts: list[str]) -> int:
    """Parameters that train where these parts do; leaves the family so."""
    family.freeze_all_but(parts)
    return sum(parameter.numel() for parameter in family.parameters() if parameter.requires_grad)


def _matched(
    name: str, system: SystemSettings, as_set: int, target: int, count: Callable[[SystemSettings], int]
) -> Matched:
    option = family_class(system.family).matched_width
    left = Matched(name, option, None, as_set, target, "")
    if as_set == target:
        return left
    if not option:
        return _judged(left, f"family '{system.family}' has no width that could be moved")

    def with_width(width: int) -> int:
        return count(replace(system, options=system.options | {option: width}))

    try:
        narrowest, next_one = with_width(1), with_width(2)
    except UserError:
        return _judged(left, f"its other options leave no '{option}' to move")
    if narrowest >= next_one:
        return _judged(left, f"its '{option}' does not change this count")
    width = _nearest_width(with_width, target)
    return _judged(replace(left, width=width, count=with_width(width)), f"no '{option}' comes closer than {width}")


def _judged(one: Matched, reason: str) -> Matched:
    return replace(one, reason=reason) if abs(one.deviation) > TOLERANCE else one


def _nearest_width(count: Callable[[int], int], target: int) -> int:
    """The width whose count is nearest to ``target``; counts rise with the width."""
    high = 1
    while count(high) < target and high < _WIDEST:
        high *= 2
    low = high // 2  # count(low) < target <= count(high), but for targets out of reach
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < target else (low, middle)
    return min((width for width in (low, high) if width > 0), key=lambda width: abs(count(width) - target))
