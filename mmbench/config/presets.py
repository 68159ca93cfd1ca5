"""Finding the YAML files that ship with mmbench (scales, systems, data, search spaces) by name, any other by path."""

import re
from pathlib import Path
from typing import Literal

from mmbench.config.errors import UserError, unknown_name

Kind = Literal["scales", "systems", "data", "spaces"]
_SUFFIXES = (".yaml", ".yml")
_SINGULAR = {"scales": "scale", "systems": "system", "data": "data", "spaces": "search space"}


def config_dir() -> Path:
    """The folder of the shipped YAML files: inside the installed package, or the repository's ``configs/``.

    Raises:
        UserError: neither is there, which means the installation is damaged.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / "scales").is_dir():
            return folder
    raise UserError(f"the shipped configs are missing beside {package}: install mmbench again")


def preset_names(kind: Kind) -> list[str]:
    """The names that can be given for a scale, a system, data or a search space, sorted."""
    return sorted(_presets(kind))


def find_preset(kind: Kind, name: str) -> Path:
    """The YAML file of a preset's name, or of a path.

    Raises:
        UserError: there is no such preset (the nearest name is given), or no such file.
    """
    presets = _presets(kind)
    if name in presets:
        return presets[name]
    if is_yaml_path(name):
        if not Path(name).is_file():
            raise UserError(f"there is no {_SINGULAR[kind]} file '{name}'")
        return Path(name)
    raise unknown_name(_SINGULAR[kind], name, sorted(presets))


def _presets(kind: Kind) -> dict[str, Path]:
    """Name -> file; files may lie in folders, which group them for a reader and are no part of the name."""
    return {path.stem: path for path in sorted((config_dir() / kind).rglob("*.yaml"))}


def is_yaml_path(text: str) -> bool:
    """Whether a text is meant as the path of a YAML file rather than as a preset's name."""
    return text.endswith(_SUFFIXES)


def shown(path: Path) -> str:
    """A path as a message should show it: shipped files from ``configs/`` on, others as they were given."""
    try:
        return str(Path("configs") / path.relative_to(config_dir()))
    except ValueError:
        return str(path)


def describe(path: Path) -> str:
    """The comment at the head of a YAML file, as one line; empty if it has none."""
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("#").strip())
    return re.sub(r"\s+", " ", " ".join(lines)).strip()
