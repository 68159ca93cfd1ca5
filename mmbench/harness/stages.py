"""What trains and what is frozen in each stage of a system, for people to check before the run."""

from typing import TYPE_CHECKING, Any

from mmbench.config.model import StageSettings

if TYPE_CHECKING:
    from mmbench.families.family import Family


def described(family: "Family", stage: StageSettings) -> dict[str, Any]:
    """A stage's share, the parts that train in it and those that are frozen; leaves the family so."""
    trains, frozen = family.freeze_all_but(stage.train)
    return {"share": stage.share, "trains": trains, "frozen": frozen}


def in_words(system: str, stages: list[dict[str, Any]]) -> str:
    """All stages of a system in one line."""
    said = [f"{stage['share']:.0%} trains {_names(stage['trains'])}{_frozen(stage['frozen'])}" for stage in stages]
    return f"{system}: {'; then '.join(said)}"


def _frozen(parts: list[str]) -> str:
    return f" (frozen: {_names(parts)})" if parts else ""


def _names(parts: list[str]) -> str:
    return ", ".join(part.replace("_", " ") for part in parts)
