"""The values that a search found for a system: what its cells train by, wherever they are opened."""

from typing import Any

from mmbench.harness.run_files import RunFiles, read_json


def tuned_values(files: RunFiles, system: str) -> dict[str, Any]:
    """Dotted key of the settings -> value; empty for a system that was not tuned."""
    return dict(_of(files, system).get("best") or {})


def tuning_ledger(files: RunFiles, system: str) -> dict[str, Any]:
    """A cell's share of its ledger that tells what the search for its system took."""
    spent = _of(files, system).get("ledger") or {}
    if not spent:
        return {"tuning": 0}
    return {
        "tuning": spent["trials"],
        "tuning_flops": spent["flops"],
        "tuning_samples": spent["samples"],
        "tuning_device_s": spent["device_s"],
    }


def _of(files: RunFiles, system: str) -> dict[str, Any]:
    if not files.tuning.exists():
        return {}
    found: dict[str, Any] = read_json(files.tuning)["systems"].get(system, {})
    return found
