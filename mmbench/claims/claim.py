"""A claim as a YAML file: what is predicted, the systems and settings that test it, and the rules that decide."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmbench.config.baselines import BASELINES
from mmbench.config.checks import check_system_name
from mmbench.config.errors import UserError, unknown_name
from mmbench.config.model import SystemSettings
from mmbench.config.tree import built, checked, merged
from mmbench.config.yaml_text import read_yaml

ARM = "@"
"""Between a system's name and its arm's, where a claim has arms: ``unified@random``."""

Kind = Literal["better", "not_worse", "equivalent", "cheaper", "unchanged", "loses"]
_PAIRWISE = ("better", "not_worse", "equivalent", "cheaper")
_OF_A_METRIC = ("better", "not_worse", "equivalent")
_WITH_MARGIN = ("not_worse", "equivalent")


@dataclass
class Rule:
    """One sentence that the runs show, show the opposite of, or leave open."""

    rule: Kind = "better"
    """``better``: ``system`` scores higher than ``than``. ``not_worse``: it is worse by less than ``margin``.
    ``equivalent``: the two differ by less than ``margin``. ``cheaper``: it costs less, at every image size.
    ``unchanged``: its text-only loss is what it was before training, text by text, exactly. ``loses``: its text-only
    loss has risen."""
    system: str = ""
    """The system that the sentence is about; ``SYSTEM@ARM`` where the claim has arms."""
    than: str = ""
    """The system or baseline that it is set against."""
    metric: str = ""
    """A per-example metric of ``scores.parquet``; a better score counts as higher, also where lower is better."""
    margin: float = 0.0
    """In the metric's own unit (0.02 is two points of accuracy): the smallest difference that would matter. For
    ``cheaper``: the share by which costs must differ to count, which a measured time needs and a count does not."""
    equal_within: float = 0.0
    """For ``better`` and ``loses``: refuted also where the difference is shown to be smaller than this."""
    cost: Literal[
        "flops_per_sample",
        "parameters_total",
        "parameters_trainable",
        "context_tokens",
        "first_token_s",
        "per_token_s",
        "caption_s",
        "embed_image_s",
    ] = "flops_per_sample"
    """What ``cheaper`` compares: counted on the modules, or the median time of one image."""
    grows_with: Literal["", "resolution"] = ""
    """For ``cheaper``: not the cost itself is tested, but that the ratio of the costs falls as images grow."""
    decides: bool = True
    """Whether the verdict rests on it; if not, it is reported beside."""


@dataclass
class SystemChoice(SystemSettings):
    """The keys of a claim's system: a preset, and any settings of a system that differ from the preset's.

    It says what a file may give; a claim holds what was given and no more, since what is not is the preset's.
    """

    preset: str = ""
    """A preset's name or the path of a YAML file; if empty, the system's own name."""


@dataclass
class Claim:
    """A claim and what decides it."""

    number: int = 0
    """How the command line names it."""
    title: str = ""
    """A few words."""
    prediction: str = ""
    """What is claimed, in one sentence."""
    source: str = ""
    """Where it is claimed."""
    systems: dict[str, Any] = field(default_factory=dict)
    """The systems that are trained: name -> what its file gives of the keys of `SystemChoice`."""
    arms: dict[str, list[str]] = field(default_factory=dict)
    """Where the parts that all systems share are what differs: arm -> settings as ``key=value``. Each arm is a run."""
    baselines: list[str] = field(default_factory=list)
    """The baselines that are run beside them."""
    scale: str = "tiny"
    """The scale."""
    data: str = "scenes"
    """The data; if empty, what the scale's file says."""
    budget: str = ""
    """What each cell spends; if empty, the scale's."""
    seeds: int = 3
    """Training seeds of each system."""
    settings: list[str] = field(default_factory=list)
    """Any other settings as ``key=value``."""
    rules: list[Rule] = field(default_factory=list)
    """The claim is supported if all of them that decide hold, refuted if any of those is refuted, else undecided."""
    needs: list[str] = field(default_factory=list)
    """Parts that do not exist yet; a claim that needs any is listed and not run."""


def load_claim(path: Path) -> Claim:
    """Read a claim.

    Raises:
        UserError: an unknown key, a value of another type, or a claim that could not be decided.
    """
    tree = checked(read_yaml(path), Claim, "", str(path))
    tree["systems"] = checked(tree.get("systems", {}), dict[str, SystemChoice], "systems", str(path))
    claim = built(merged(dataclasses.asdict(Claim()), tree, Claim), Claim)
    try:
        _check(claim)
    except UserError as error:
        raise UserError(f"the claim in '{path}': {error}") from None
    return claim


def _check(claim: Claim) -> None:
    for key in ("title", "prediction"):
        if not getattr(claim, key):
            raise UserError(f"'{key}' is empty; say in it what is claimed")
    if claim.number < 1:
        raise UserError(f"'number' is {claim.number}; it must be 1 or more")
    if claim.needs:
        return
    if not claim.systems or not claim.rules:
        raise UserError("it names no systems or no rules: give both, or say under 'needs' what is missing")
    if not any(rule.decides for rule in claim.rules):
        raise UserError("none of its rules decides: leave 'decides: false' out of one")
    for name in [*claim.systems, *claim.arms]:
        check_system_name(name)
    for name, choice in claim.systems.items():
        if "same_as" in choice:
            raise UserError(f"'systems.{name}.same_as' is '{choice['same_as']}'; give the preset as 'preset'")
    for name in claim.baselines:
        if name not in BASELINES:
            raise unknown_name("baseline", name, BASELINES)
    for index, rule in enumerate(claim.rules):
        _check_rule(rule, f"rules.{index}", names_of(claim))


def names_of(claim: Claim) -> list[str]:
    """What rules can name: systems and baselines, each with its arm where there are arms."""
    names = [*claim.systems, *claim.baselines]
    return [f"{name}{ARM}{arm}" for arm in claim.arms for name in names] if claim.arms else names


def _check_rule(rule: Rule, where: str, names: list[str]) -> None:
    if rule.system not in names:
        raise unknown_name(f"system in '{where}.system':", rule.system, names)
    if (rule.rule in _PAIRWISE) != bool(rule.than):
        raise UserError(f"'{where}.than' is '{rule.than}'; '{rule.rule}' {_needs(rule.rule in _PAIRWISE)} one")
    if rule.than and rule.than not in names:
        raise unknown_name(f"system in '{where}.than':", rule.than, names)
    if rule.than == rule.system:
        raise UserError(f"'{where}' sets '{rule.system}' against itself; name two systems")
    if (rule.rule in _OF_A_METRIC) != bool(rule.metric):
        raise UserError(f"'{where}.metric' is '{rule.metric}'; '{rule.rule}' {_needs(rule.rule in _OF_A_METRIC)} one")
    for key in ("margin", "equal_within"):
        if getattr(rule, key) < 0:
            raise UserError(f"'{where}.{key}' is {getattr(rule, key):g}; it must be 0 or more")
    if rule.rule in _WITH_MARGIN and rule.margin == 0:
        raise UserError(f"'{where}.margin' is 0; '{rule.rule}' needs the smallest difference that would matter")


def _needs(needed: bool) -> str:
    return "needs" if needed else "has no use for"
