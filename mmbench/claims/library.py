"""The claims that ship with mmbench, by number or name; one's own by path. And the settings of their runs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbench.claims.claim import Claim, load_claim
from mmbench.config.errors import UserError, unknown_name
from mmbench.config.load import config_dir, load_settings
from mmbench.config.presets import is_yaml_path
from mmbench.config.settings import Settings


@dataclass(frozen=True)
class Asked:
    """What a command line changes about all claims; None leaves the claim's own."""

    scale: str | None = None
    """The scale."""
    budget: str | None = None
    """What each cell spends."""
    seeds: int | None = None
    """Training seeds."""


def shipped_claims() -> dict[Path, Claim]:
    """Every claim under ``configs/claims/GROUP/``, by number.

    Raises:
        UserError: one of them is malformed, or two have one number.
    """
    claims = {path: load_claim(path) for path in (config_dir() / "claims").rglob("*.yaml")}
    ordered = dict(sorted(claims.items(), key=lambda entry: entry[1].number))
    numbers = [claim.number for claim in ordered.values()]
    for number in numbers:
        if numbers.count(number) > 1:
            raise UserError(f"two claims have the number {number} in '{config_dir() / 'claims'}'")
    return ordered


def find_claims(asked: Sequence[str]) -> dict[Path, Claim]:
    """The claims that are asked for, each a number, a file's name or a path; all that ship if none is.

    Raises:
        UserError: there is no such claim.
    """
    shipped = shipped_claims()
    if not asked:
        return shipped
    found: dict[Path, Claim] = {}
    for text in asked:
        if is_yaml_path(text):
            path = Path(text).expanduser()
            found[path] = load_claim(path)
            continue
        by_name = {str(claim.number): path for path, claim in shipped.items()}
        by_name |= {path.stem: path for path in shipped}
        if text not in by_name:
            raise unknown_name("claim", text, [str(claim.number) for claim in shipped.values()])
        found[by_name[text]] = shipped[by_name[text]]
    return found


def runs_of(claim: Claim, asked: Asked) -> dict[str, Settings]:
    """Arm -> the settings of its run; the one arm is called "" where the claim has none.

    A run is named by its content: claims that ask for the same share it.

    Raises:
        UserError: what a claim names does not exist or cannot be run.
    """
    arms = claim.arms or {"": []}
    return {arm: _settings(claim, overrides, asked) for arm, overrides in arms.items()}


def _settings(claim: Claim, more: Sequence[str], asked: Asked) -> Settings:
    overrides = [f"baselines={json.dumps(claim.baselines)}"]
    for name, choice in claim.systems.items():
        overrides += _differences(name, choice)
    return load_settings(
        [f"{name}={choice.get('preset') or name}" for name, choice in claim.systems.items()],
        scale=asked.scale or claim.scale,
        data=claim.data or None,
        budget=asked.budget or claim.budget or None,
        seeds=claim.seeds if asked.seeds is None else asked.seeds,
        overrides=[*overrides, *claim.settings, *more],
    )


def _differences(name: str, choice: Mapping[str, Any]) -> Iterator[str]:
    """What a claim gives of a system besides its preset, as overrides; mappings are joined with the preset's."""
    for key, given in choice.items():
        if isinstance(given, Mapping):
            yield from (f"systems.{name}.{key}.{inner}={json.dumps(value)}" for inner, value in given.items())
        elif key != "preset":
            yield f"systems.{name}.{key}={json.dumps(given)}"
