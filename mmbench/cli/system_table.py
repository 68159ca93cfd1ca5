"""The table of systems: what is read off their files, and what must be built to be known, kept for the next time."""

import contextlib
import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import mmbench
from mmbench.config.load import system_tree
from mmbench.config.model import SystemSettings
from mmbench.config.presets import describe, find_preset, preset_names
from mmbench.config.user_cache import user_cache
from mmbench.config.yaml_text import read_yaml

HEADER = ("system", "family", "parameters", "can", "stands for")
_FAMILIES = ("unified", "crossattn", "hybrid", "dual", "fusion", "coattn")
"""In the order in which they are introduced; others follow by name."""
_TASKS = {
    "caption": "caption",
    "answer": "answer",
    "choose": "choose",
    "match": "match",
    "retrieve": "retrieve",
    "rerank": "re-rank",
    "text": "read text",
}
"""What a family can do, in the order and the words of the table."""
_DECIDES = ("families", "nn", "data", "config")
"""The packages of which a change may change the facts."""


def notes() -> list[str]:
    """What stands below the table."""
    return [
        "Parameters: at the scale 'tiny' on the built-in scenes.",
        f"All that a system can do, and is scored on: {', '.join(_TASKS.values())}.",
    ]


def system_rows() -> list[list[str]]:
    """A row a shipped system, by family: name, family, parameters at `tiny`, what it can do, what it stands for."""
    trees = {name: system_tree(find_preset("systems", name)) for name in preset_names("systems")}
    facts = _facts(list(trees))
    rows = []
    for name, tree in trees.items():
        family = str(tree.get("family", SystemSettings.family))
        one = facts[name]
        can = [words for task, words in _TASKS.items() if task in one.get("tasks", ())]
        said = "all" if len(can) == len(_TASKS) else ", ".join(can) or one.get("error", "")
        counted = _in_words(one["parameters"]) if "parameters" in one else "unknown"
        rows.append([name, family, counted, said, _stands_for(name, tree)])
    return sorted(rows, key=lambda row: (_place(row[1]), row[1], row[0] != row[1], row[0]))


def _stands_for(name: str, tree: dict[str, Any]) -> str:
    path = find_preset("systems", name)
    other = str(read_yaml(path).get("same_as") or "")
    if other:
        return f"another name of {other}"
    return str(tree.get("paper") or describe(path))


def _place(family: str) -> int:
    return _FAMILIES.index(family) if family in _FAMILIES else len(_FAMILIES)


def _in_words(number: int) -> str:
    return f"{number / 1e6:.2f} M" if number < 1e9 else f"{number / 1e9:.2f} B"


def _facts(names: list[str]) -> dict[str, dict[str, Any]]:
    """Parameters and tasks of each system; what is not known yet is found out by a process that builds it."""
    folder = user_cache()
    kept = _read(folder / "systems.json")
    keys = {name: _key(find_preset("systems", name)) for name in names}
    unknown = [name for name in names if keys[name] not in kept]
    if unknown:
        told = f"mmbench: building {len(unknown)} systems once to count their parameters; this is kept in {folder}"
        print(told, file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as made:
            words = [sys.executable, "-m", "mmbench.harness.system_facts", made, *unknown]
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        kept |= {keys[name]: facts for name, facts in found.items()}
        _write(folder / "systems.json", {key: kept[key] for key in keys.values()})
    return {name: kept[keys[name]] for name in names}


def _key(path: Path) -> str:
    """Changes with the system's file, the scale, and the code that builds it."""
    digest = hashlib.sha256(f"{mmbench.__version__} {_code()}".encode())
    for file in (path, find_preset("scales", "tiny")):
        digest.update(file.read_bytes())
    digest.update(json.dumps(system_tree(path), sort_keys=True, default=str).encode())
    return digest.hexdigest()[:32]


@functools.cache
def _code() -> str:
    """The newest change of the code that decides."""
    package = Path(mmbench.__file__).parent
    files = [path for name in _DECIDES for path in (package / name).rglob("*.py")]
    stamps = sorted((str(path.relative_to(package)), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    """What was kept; nothing where there is none, or it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, content: dict[str, Any]) -> None:
    """Keep it, whole or not at all; where nothing can be written, it is found out again next time."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_text(json.dumps(content), encoding="utf-8")
        os.replace(part, path)
