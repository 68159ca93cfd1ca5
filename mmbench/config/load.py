"""Resolving a comparison's settings: defaults, then the scale, the data, the systems, and the command line."""

import dataclasses
from pathlib import Path
from typing import Any

from mmbench.config.at_scale import at_scale
from mmbench.config.budget import parse_budget
from mmbench.config.checks import check_settings, check_system_name
from mmbench.config.data import DataSettings
from mmbench.config.dump import default_name, save_settings, settings_difference
from mmbench.config.errors import UserError, unknown_name
from mmbench.config.model import SystemSettings
from mmbench.config.overrides import apply_override
from mmbench.config.presets import config_dir, find_preset, is_yaml_path, preset_names, shown
from mmbench.config.settings import Settings
from mmbench.config.tree import built, checked, merged
from mmbench.config.yaml_text import read_yaml

__all__ = [
    "config_dir",
    "load_data",
    "load_settings",
    "load_settings_file",
    "save_settings",
    "settings_difference",
]


def load_settings(
    systems: list[str],
    *,
    scale: str = "tiny",
    data: str | None = None,
    budget: str | None = None,
    seeds: int | None = None,
    name: str | None = None,
    match: str | None = None,
    overrides: list[str] | None = None,
) -> Settings:
    """The settings of a comparison; each of these sources overrides the ones before it.

    The dataclasses' defaults; the scale's file; the data; the systems; budget and seeds; the overrides.

    Args:
        systems: preset names, paths of YAML files, or ``NAME=`` one of the two. If empty, the systems in the
            scale's file, which is how a saved ``comparison.yaml`` is run again.
        scale: the name of a scale, or the path of a YAML file with any part of ``Settings``.
        data: the name of a data file, or the path of a YAML file with ``DataSettings``, or of the data itself.
        budget: as ``parse_budget`` reads it.
        seeds: how many; they are 0, 1, ….
        name: the folder under ``runs/``; if not given, made of the systems and a hash of the settings.
        match: which count of parameters is made equal.
        overrides: ``a.b.c=value``, with a YAML value.

    Raises:
        UserError: anything that does not exist, has the wrong type or cannot be run.
    """
    scale_path = find_preset("scales", scale)
    scale_tree = checked(read_yaml(scale_path), Settings, "", shown(scale_path))
    tree = merged(dataclasses.asdict(Settings()), scale_tree, Settings)
    tree["scale"], tree["name"] = scale_tree.get("scale", scale), ""
    if data is not None:
        tree["data"] = merged(tree["data"], _data_tree(data), DataSettings)
    if systems:
        tree["systems"] = _system_trees(systems, tree["scale"])
    else:
        where = shown(scale_path)
        tree["systems"] = {name: at_scale(one, tree["scale"], where) for name, one in tree["systems"].items()}
    if budget is not None:
        parse_budget(budget)
        tree["budget"] = budget
    if seeds is not None:
        if seeds < 1:
            raise UserError(f"--seeds is {seeds}; there must be at least 1")
        tree["seeds"] = list(range(seeds))
    if match is not None:
        tree["match"] = match
    for override in overrides or []:
        apply_override(tree, override)
    settings = built(tree, Settings)
    if late := [name for name, system in settings.systems.items() if system.scales]:
        raise UserError(f"'systems.{late[0]}.scales' stands in a system's file only: set what shall differ itself")
    if name is not None:
        settings.name = name
        if not name:
            raise UserError("--name is empty: give a name, or leave the option out")
    check_settings(settings)
    settings.name = settings.name or default_name(settings)
    return settings


def load_settings_file(path: Path) -> Settings:
    """The settings that ``save_settings`` wrote; a key that an older mmbench did not have gets its default.

    Raises:
        UserError: the file is missing, malformed, or holds what no comparison could be run with.
    """
    tree = checked(read_yaml(path), Settings, "", str(path))
    settings = built(merged(dataclasses.asdict(Settings()), tree, Settings), Settings)
    check_settings(settings)
    return settings


def load_data(data: str) -> DataSettings:
    """The settings of data that is named, or lies at a path, with no scale under them.

    Raises:
        UserError: there is no such data, or its format is not recognised.
    """
    tree = dataclasses.asdict(Settings())
    tree["data"] = merged(tree["data"], _data_tree(data), DataSettings)
    return built(tree, Settings).data


def _data_tree(data: str) -> dict[str, Any]:
    """The part of ``DataSettings`` that a name, a YAML file or a folder of data stands for."""
    if data in preset_names("data") or is_yaml_path(data):
        path = find_preset("data", data)
        tree: dict[str, Any] = checked(read_yaml(path), DataSettings, "", shown(path))
        return {"name": path.stem, **tree}
    path = Path(data).expanduser()
    if not path.exists():
        if len(path.parts) > 1:
            raise UserError(f"there is no data at '{data}'")
        raise unknown_name("data or path", data, preset_names("data"))
    # Only here, where files have to be looked at, does this floor ask the data's own.
    from mmbench.data.detect import detect_format

    sources = [dataclasses.asdict(source) for source in detect_format(path)]
    return {"name": path.resolve().stem if path.is_file() else path.resolve().name, "sources": sources}


def _system_trees(systems: list[str], scale: str) -> dict[str, Any]:
    """The systems by name, each a full tree, as they are at a scale."""
    trees: dict[str, Any] = {}
    for text in systems:
        name, preset = _name_and_preset(text)
        path = find_preset("systems", preset)
        name = name or path.stem
        check_system_name(name)
        if name in trees:
            raise UserError(f"two systems are called '{name}': give one another name by NAME={preset}")
        trees[name] = merged(dataclasses.asdict(SystemSettings()), system_tree(path, scale), SystemSettings)
    return trees


def system_tree(path: Path, scale: str = "tiny") -> dict[str, Any]:
    """What a system's file gives at a scale; of a file that is another name of a preset, what the preset's gives.

    Files that it names with ``./`` lie beside it.

    Raises:
        UserError: an unknown key, a wrong type, or another name that gives more than the name.
    """
    tree: dict[str, Any] = checked(read_yaml(path), SystemSettings, "", shown(path))
    if not tree.get("same_as"):
        tree = at_scale(tree, scale, shown(path))
        if "weights" in tree:
            tree["weights"] = _beside(path, tree["weights"])
        for part in ("encoder", "language_model"):
            for key in ("weights", "config"):
                if isinstance(tree.get(part, {}).get(key), str):
                    tree[part][key] = _beside(path, tree[part][key])
        return tree
    if len(tree) > 1:
        more = ", ".join(key for key in tree if key != "same_as")
        raise UserError(f"{shown(path)} is another name of '{tree['same_as']}', but gives {more} too: leave that out")
    return system_tree(find_preset("systems", tree["same_as"]), scale)


def _beside(path: Path, name: str) -> str:
    return str(path.resolve().parent / name) if name.startswith("./") else name


def _name_and_preset(text: str) -> tuple[str, str]:
    """``NAME=PRESET`` in two; no name if none is given."""
    name, equals, preset = text.partition("=")
    if not equals or Path(text).is_file():
        return "", text
    if not name or not preset:
        raise UserError(f"'{text}' is not understood as a system: write NAME=PRESET, PRESET or the path of a YAML")
    return name, preset
