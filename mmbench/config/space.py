"""Search spaces: which settings a search may move, between which bounds, and for which system.

A space is a mapping of dotted keys to ``{kind: float | int | categorical, …}``. A key is one of the settings
(``training.learning_rate``), a system's own by its name (``systems.crossattn.options.every``), or ``system.…``, which
stands for every system whose settings have that key.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from mmbench.config.checks import check_settings
from mmbench.config.errors import UserError, unknown_name
from mmbench.config.overrides import apply_override
from mmbench.config.presets import find_preset, shown
from mmbench.config.settings import Settings
from mmbench.config.tree import built
from mmbench.config.yaml_text import read_yaml

Space = dict[str, dict[str, Any]]
"""Dotted key -> kind and bounds."""

_FIELDS = {
    "float": {"low": True, "high": True, "log": False},
    "int": {"low": True, "high": True, "log": False, "step": False},
    "categorical": {"choices": True},
}
"""The fields of each kind, and whether they must be given."""
_SAME_FOR_ALL_TRIALS = (
    "training.rows.max_text_tokens",
    "training.validation_share",
    "training.checkpoint_share",
    "training.log_every",
)
"""What decides the data, at which marks trials are judged, or no number at all."""
_SAME_FOR_ALL = ("training.batch_rows", "training.contrastive_group", "training.rows.", "training.objectives.")
_OF_SYSTEMS = ("options.", "stages.")


def read_space(name: str) -> Space:
    """The space of a preset's name or of a YAML file; its keys are not yet looked at.

    Raises:
        UserError: there is no such file, or an entry is malformed.
    """
    path = find_preset("spaces", name)
    space = read_yaml(path)
    check_entries(space, shown(path))
    return space


def check_entries(space: Mapping[str, Any], where: str) -> None:
    """See that every entry has a kind and the fields and bounds that go with it.

    Raises:
        UserError: the first that has not.
    """
    if not space:
        raise UserError(f"the search space of {where} is empty: name at least one setting to search")
    for key, entry in space.items():
        if not isinstance(entry, dict):
            raise UserError(f"'{key}' in {where} is {entry!r}; it must be a section with a kind, as in {_EXAMPLE}")
        kind = entry.get("kind")
        if kind not in _FIELDS:
            raise unknown_name(f"kind of '{key}' in {where}:", str(kind), _FIELDS)
        for name in entry:
            if name != "kind" and name not in _FIELDS[kind]:
                raise unknown_name(f"field of '{key}' in {where}:", str(name), ["kind", *_FIELDS[kind]])
        for name, needed in _FIELDS[kind].items():
            if needed and name not in entry:
                raise UserError(f"'{key}' in {where} has no '{name}'; a {kind} needs it, as in {_EXAMPLE}")
        if kind == "categorical":
            _check_choices(key, entry["choices"], where)
        else:
            _check_bounds(key, entry, where)


def space_of(space: Space, settings: Settings, system: str) -> Space:
    """The part of a space that a system has, with ``system.`` written out; the blind baseline has no own keys."""
    found: Space = {}
    for key, entry in space.items():
        if not key.startswith(("system.", "systems.")):
            found[key] = entry
        elif system in settings.systems:
            own = f"systems.{system}."
            if key.startswith("system."):
                written = own + key.removeprefix("system.")
                if _has(dataclasses.asdict(settings.systems[system]), key.split(".")[1:]):
                    found[written] = entry
            elif key.startswith(own):
                found[key] = entry
    return found


def check_space(space: Space, settings: Settings, *, compared: bool) -> None:
    """See that every key is a setting that may be searched, and that the ends of its range fit there.

    Args:
        space: entries that `check_entries` has passed.
        settings: of the sweep or comparison.
        compared: whether cells of a comparison follow, whose batches must stay the same for all systems.

    Raises:
        UserError: an unknown key (the nearest is named), one that all trials share, or a value that cannot be.
    """
    where = "the search space"
    for key, entry in space.items():
        written = [(name, full) for name in settings.systems for full in space_of({key: entry}, settings, name)]
        if not written:
            raise unknown_name("key of the search space", key, _own_keys(settings))
        for name, full in written:
            _check_key(settings, full, entry, where)
            own = full.removeprefix(f"systems.{name}.")
            if not own.startswith("training." if own == full else _OF_SYSTEMS) or full in _SAME_FOR_ALL_TRIALS:
                raise UserError(
                    f"'{key}' cannot be searched: it decides the data, the starting point or how trials are "
                    "judged, which all share; a space holds keys of 'training' and of the systems' options and stages"
                )
        if compared and key.startswith(_SAME_FOR_ALL):
            raise UserError(
                f"'{key}' cannot be tuned in a comparison: batches and objectives are the same for all its systems; "
                "leave it out, or search it by 'mmbench sweep'"
            )


def check_tuning(settings: Settings, *, compared: bool) -> None:
    """See that the search that the settings ask for can be made.

    Raises:
        UserError: as `check_entries` and `check_space`, or parts of it do not go together.
    """
    tuning = settings.tuning
    check_entries(tuning.space, "'tuning.space'")
    check_space(tuning.space, settings, compared=compared)
    if compared and tuning.cost != "none":
        raise UserError(f"'tuning.cost' is '{tuning.cost}': a comparison's systems are tuned for one metric alone")
    own = [key for key in tuning.space if key.startswith(("system.", "systems."))]
    if settings.match != "none" and own:
        raise UserError(f"'{own[0]}' may change the parameters that --match makes equal: leave one of the two out")
    if tuning.cost != "none" and (tuning.pruner != "none" or tuning.sampler == "cmaes"):
        what = "--sampler cmaes" if tuning.sampler == "cmaes" else f"--pruner {tuning.pruner}"
        raise UserError(f"{what} knows one objective alone: give --sampler tpe or nsga2 and --pruner none with --cost")
    by_loss = "validation_loss" if tuning.metric == "validation_loss" else tuning.pruner
    moved = [key for key in tuning.space if key.startswith("training.objectives.")]
    if moved and by_loss != "none":
        raise UserError(
            f"'{moved[0]}' changes what the validation loss adds up, so trials cannot be compared by it: give another "
            "--metric, and --pruner none"
        )


def with_values(settings: Settings, values: Mapping[str, Any], where: str = "the tuned values") -> Settings:
    """A copy of the settings with some values changed: the one place where a trial's values become settings.

    Args:
        settings: the run's.
        values: by dotted key, as `space_of` writes them.
        where: names their origin in errors.

    Raises:
        UserError: a key does not exist, or no run could have such a value.
    """
    tree = dataclasses.asdict(settings)
    for key, value in values.items():
        apply_override(tree, f"{key}={json.dumps(value)}", where)
    changed = built(tree, Settings)
    check_settings(changed)
    return changed


def current_values(settings: Settings, space: Space) -> dict[str, Any]:
    """What the settings have now for the keys of a space that `space_of` wrote out."""
    tree = dataclasses.asdict(settings)
    return {key: _get(tree, key.split(".")) for key in space if _has(tree, key.split("."))}


_EXAMPLE = "{kind: float, low: 1.0e-4, high: 1.0e-2, log: true}"


def _check_key(settings: Settings, key: str, entry: dict[str, Any], where: str) -> None:
    for value in entry["choices"] if entry["kind"] == "categorical" else (entry["low"], entry["high"]):
        tree = dataclasses.asdict(settings)
        apply_override(tree, f"{key}={json.dumps(value)}", where)
        # What a value breaks together with others (sizes that divide one another) is seen in its trial.
        built(tree, Settings)


def _own_keys(settings: Settings) -> set[str]:
    trees = [dataclasses.asdict(system) for system in settings.systems.values()]
    return {f"system.{part}{name}" for tree in trees for part in _OF_SYSTEMS for name in _names(tree[part[:-1]])}


def _names(tree: dict[str, Any] | list[Any]) -> list[str]:
    return list(tree) if isinstance(tree, dict) else [str(index) for index in range(len(tree))]


def _check_choices(key: str, choices: Any, where: str) -> None:
    if not isinstance(choices, list) or not choices:
        raise UserError(f"'choices' of '{key}' in {where} must be a list with at least one value")
    if not all(isinstance(choice, str | int | float | bool) or choice is None for choice in choices):
        raise UserError(f"'choices' of '{key}' in {where} may hold numbers, texts, true, false and null only")


def _check_bounds(key: str, entry: dict[str, Any], where: str) -> None:
    whole = entry["kind"] == "int"
    for name in ("low", "high", "step"):
        value = entry.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise UserError(f"'{name}' of '{key}' in {where} is {value!r}; it must be a {'whole ' * whole}number")
    if entry["low"] >= entry["high"]:
        raise UserError(f"'{key}' in {where} goes from {entry['low']} to {entry['high']}; low must be below high")
    if not isinstance(entry.get("log", False), bool):
        raise UserError(f"'log' of '{key}' in {where} is {entry['log']!r}; it must be true or false")
    if entry.get("log", False) and entry["low"] <= 0:
        raise UserError(f"'{key}' in {where} is searched by its logarithm: low must be above 0")
    if whole and (entry.get("step", 1) < 1 or (entry.get("log", False) and entry.get("step", 1) != 1)):
        raise UserError(f"'step' of '{key}' in {where} must be at least 1, and 1 beside log: true")


def _has(tree: Any, parts: list[str]) -> bool:
    try:
        _get(tree, parts)
    except (KeyError, IndexError, ValueError, TypeError):
        return False
    return True


def _get(tree: Any, parts: list[str]) -> Any:
    """A value of a tree; a system's name may itself hold dots, so the longest name that is there is taken."""
    if not parts:
        return tree
    if isinstance(tree, list):
        return _get(tree[int(parts[0])], parts[1:])
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in tree:
            return _get(tree[name], parts[length:])
    raise KeyError(parts[0])
