"""The table of systems: what their files say, and what must be built to be known, kept for the next time."""

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
_MANY = 4
"""More systems than this are counted, not named."""
_NOTES = (
    "Parameters: at the scale 'tiny' on the built-in scenes.",
    f"All that a system can do, and is scored on: {', '.join(_TASKS.values())}.",
)
_DECIDES = ("families", "nn", "data", "config")
"""The packages of which a change may change the facts."""


def system_table() -> tuple[list[list[str]], list[str]]:
    """A row a shipped system, by family, and what stands below them.

    A row has name, family, parameters at `tiny`, what it can do, and what it stands for. What could not be built is
    "unknown", and why is said below.
    """
    trees = {name: system_tree(find_preset("systems", name)) for name in preset_names("systems")}
    facts = _facts(list(trees))
    rows = []
    for name, tree in trees.items():
        family = str(tree.get("family", SystemSettings.family))
        one = facts[name]
        can = [words for task, words in _TASKS.items() if task in one.get("tasks", ())]
        said = "unknown" if "error" in one else "all" if len(can) == len(_TASKS) else ", ".join(can)
        counted = "unknown" if "error" in one else _in_words(one["parameters"])
        rows.append([name, family, counted, said, _stands_for(name, tree)])
    rows = sorted(rows, key=lambda row: (_place(row[1]), row[1], row[0] != row[1], row[0]))
    return [list(HEADER), *rows], [*_NOTES, *_unknown(facts)]


def _unknown(facts: dict[str, dict[str, Any]]) -> list[str]:
    """One line a reason."""
    failed: dict[str, list[str]] = {}
    for name, one in facts.items():
        if "error" in one:
            failed.setdefault(one["error"], []).append(name)
    counted = {
        reason: ", ".join(names) if len(names) <= _MANY else f"{len(names)} systems" for reason, names in failed.items()
    }
    return [f"Unknown of {names}: {reason}" for reason, names in counted.items()]


def _stands_for(name: str, tree: dict[str, Any]) -> str:
    path = find_preset("systems", name)
    other = str(read_yaml(path).get("same_as") or "")
    if other:
        return f"same as {other}"
    return str(tree.get("paper") or describe(path))


def _place(family: str) -> int:
    return _FAMILIES.index(family) if family in _FAMILIES else len(_FAMILIES)


def _in_words(number: int) -> str:
    return f"{number / 1e6:.2f} M" if number < 1e9 else f"{number / 1e9:.2f} B"


def _facts(names: list[str]) -> dict[str, dict[str, Any]]:
    """Parameters and tasks of each system, or why they are not known; what is known is kept for the next time."""
    folder = user_cache()
    kept = _read(folder / "systems.json")
    keys = {name: _key(find_preset("systems", name)) for name in names}
    unknown = [name for name in names if keys[name] not in kept]
    if not unknown:
        return {name: kept[keys[name]] for name in names}
    told = f"mmbench: building {len(unknown)} systems once to count their parameters; this is kept in {folder}"
    print(told, file=sys.stderr, flush=True)
    found = {name: kept[keys[name]] for name in names if keys[name] in kept} | _build(unknown)
    _write(folder / "systems.json", {keys[name]: one for name, one in found.items() if "error" not in one})
    return found


def _build(names: list[str]) -> dict[str, dict[str, Any]]:
    """By a process of its own, so that it takes the memory with it; however it ends, what it has told is taken."""
    with tempfile.TemporaryDirectory() as made:
        words = [sys.executable, "-m", "mmbench.harness.system_facts", made, *names]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
    found: dict[str, dict[str, Any]] = {}
    for line in done.stdout.splitlines():
        with contextlib.suppress(ValueError):  # a line that is cut short, or is another library's
            found |= json.loads(line)
    how = f"by signal {-done.returncode}" if done.returncode < 0 else f"with exit code {done.returncode}"
    return {name: found.get(name, {"error": f"the process that builds the systems ended {how}"}) for name in names}


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
