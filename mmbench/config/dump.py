"""Resolved settings as a file, as a name and as differences."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from mmbench.config.settings import Settings
from mmbench.config.yaml_text import to_yaml

_NOT_PART_OF_A_RESULT = ("name", "tracking")
_MAX_SYSTEMS_CHARACTERS = 60


def save_settings(settings: Settings, path: Path) -> None:
    """Write the whole tree; ``load_settings_file`` reads back equal settings. Never leaves half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(to_yaml(dataclasses.asdict(settings)), encoding="utf-8")
    beside.replace(path)


def default_name(settings: Settings) -> str:
    """``SYSTEM-SYSTEM-…-HASH``: a function of the systems and all settings but the name and the tracking."""
    tree = _result_tree(settings)
    text = json.dumps(tree, sort_keys=True, ensure_ascii=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    kept: list[str] = []
    for name in settings.systems:
        if kept and len("-".join([*kept, name])) > _MAX_SYSTEMS_CHARACTERS:
            kept.append(f"and-{len(settings.systems) - len(kept)}-more")
            break
        kept.append(name[:_MAX_SYSTEMS_CHARACTERS])
    return "-".join([*kept, digest])


def settings_difference(a: Settings, b: Settings) -> list[str]:
    """The dotted keys in which two settings differ, as ``training.learning_rate: 0.001 -> 0.002`` (a -> b).

    The name and the tracking are left out: they decide no number.
    """
    flat_a, flat_b = _flat(_result_tree(a)), _flat(_result_tree(b))
    missing = "(not set)"
    keys = list(flat_a) + [key for key in flat_b if key not in flat_a]
    return [
        f"{key}: {flat_a.get(key, missing)} -> {flat_b.get(key, missing)}"
        for key in keys
        if key not in flat_a or key not in flat_b or flat_a[key] != flat_b[key]
    ]


def _result_tree(settings: Settings) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(settings).items() if key not in _NOT_PART_OF_A_RESULT}


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Leaves by dotted key, as JSON texts; an empty mapping or list is a leaf."""
    items: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = [(str(index), item) for index, item in enumerate(value)]
    if not items:
        return {prefix: json.dumps(value, ensure_ascii=False)}
    result: dict[str, str] = {}
    for key, item in items:
        result |= _flat(item, f"{prefix}.{key}" if prefix else str(key))
    return result
