"""What MLflow is shown of a run's files: metric names, parameters, tags, final scores."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mmbench.harness.run_files import CellFiles, RunFiles, TrialFiles, read_json

MAX_PARAMETER_LENGTH = 6000
"""MLflow's limit of a parameter's value."""
TERMINAL = ("done", "failed", "pruned")
"""Statuses of a cell after which nothing more comes."""

_NOT_METRICS = ("step", "time_s")
_MAX_KEY_LENGTH = 250
_VALIDATION = "validation_"


def curve_metrics(line: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of one line of ``log.jsonl``: ``loss`` is shown as ``train/loss``, ``validation_loss`` as
    ``validation/loss``. The prefixes make the dashboard's sections."""
    validation = is_validation(line)
    metrics = {}
    for key, value in line.items():
        if key in _NOT_METRICS or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if key.startswith(_VALIDATION):
            metrics[metric_name(f"validation/{key[len(_VALIDATION) :]}")] = float(value)
        elif not validation:
            metrics[metric_name(f"train/{key}")] = float(value)
    return metrics


def is_validation(line: Mapping[str, Any]) -> bool:
    """Whether a line of ``log.jsonl`` holds validation losses."""
    return any(key.startswith(_VALIDATION) for key in line)


def final_metrics(cell: CellFiles) -> dict[str, float]:
    """Mean scores of each split (``test/vqa_accuracy``) and the ledger of a cell.

    The ledger is shown as ``usage/samples``, a name that MLflow sorts behind scores and training curves.
    """
    metrics = {metric_name(f"usage/{key}"): value for key, value in _numbers(cell.read().get("ledger") or {})}
    for path in sorted(cell.root.glob("scores*.parquet")):
        split = path.stem.removeprefix("scores").removeprefix("_") or "test"
        for name, mean in _mean_scores(path).items():
            metrics[metric_name(f"{split}/{name}")] = mean
    return metrics


def mean_scores(cells: Iterable[CellFiles]) -> dict[str, float]:
    """Means over the finished seeds, as ``vqa_accuracy/unified``: the parent's page has a section a metric, with a
    bar for each system."""
    scores: dict[str, list[float]] = {}
    for cell in cells:
        if cell.read().get("status") == "done":
            for name, value in final_metrics(cell).items():
                if name.startswith("test/"):
                    scores.setdefault(f"{name.removeprefix('test/')}/{cell.system}", []).append(value)
    return {name: sum(values) / len(values) for name, values in scores.items()}


def cell_digest(cell: CellFiles) -> str:
    """Changes when the cell's final numbers may have."""
    stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in cell.root.glob("scores*.parquet")]
    return digest([cell.read(), sorted(stamps)])


def cell_parameters(run: RunFiles, cell: CellFiles) -> dict[str, str]:
    """System, seed, and the settings of that system alone; what all cells share stands with the parent.

    Of a trial also its number, its budget and the values it tries.
    """
    content = cell.read()
    kept: dict[str, Any] = {key: content.get(key) for key in ("kind", "family", "paper") if content.get(key)}
    system = (read_settings(run).get("systems") or {}).get(cell.system) or {}
    if isinstance(cell, TrialFiles):
        kept |= {"trial": cell.number, "budget": read_json(cell.trial)["budget"]}
    if content.get("values"):
        # What a search has found for the system, or a trial tries, stands apart from what was asked for.
        kept["tuned"] = content["values"]
    return flatten({"system": cell.system, "seed": cell.seed, **kept, **system})


def parent_parameters(run: RunFiles) -> dict[str, dict[str, str]]:
    """Parameters of the comparison, by the file they come from; a file that is not there yet is left out."""
    groups = {"settings": flatten(read_settings(run))}
    for name, path in {"data": run.data, "probe": run.probe, "environment": run.environment}.items():
        content = _read_if_there(path)
        if content:
            content.pop("set_aside", None)
            content.pop("packages", None)
            groups[name] = flatten({name: content})
    return {name: parameters for name, parameters in groups.items() if parameters}


def parent_tags(run: RunFiles) -> dict[str, str]:
    """What the comparison is about, in tags and in the note at the top of its page."""
    settings = read_settings(run)
    systems, data = settings.get("systems") or {}, settings.get("data") or {}
    tags = {key: str(settings.get(key, "")) for key in ("budget", "scale")}
    tags |= {"systems": " ".join(systems), "data": str(data.get("name", ""))}
    note = f"**{' · '.join(systems)}** on {tags['data']}, {tags['budget']} a cell"
    if run.command.exists():
        note += f"\n\n```\n{run.command.read_text(encoding='utf-8').strip()}\n```"
    return {**tags, "mlflow.note.content": note}


def read_settings(run: RunFiles) -> dict[str, Any]:
    """The resolved settings as plain values; empty where they are not written yet."""
    try:
        content = yaml.safe_load(run.comparison.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return content if isinstance(content, dict) else {}


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as ``a.b.c: text``; lists as JSON; long values cut to MLflow's limit."""
    flat: dict[str, str] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            if len(text) > MAX_PARAMETER_LENGTH:
                text = text[: MAX_PARAMETER_LENGTH - 1] + "…"
            flat[_allowed_key(name)] = text
    return flat


def metric_name(name: str) -> str:
    """A name that MLflow takes: it has no ``@``, so ``recall@5`` becomes ``recall_at_5``."""
    return _allowed_key(name.replace("@", "_at_"))


def digest(content: Any) -> str:
    """A short hash of plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _allowed_key(name: str) -> str:
    return re.sub(r"[^\w\-./ :]", "_", name)[:_MAX_KEY_LENGTH]


def _numbers(content: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in content.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield key, float(value)


def _mean_scores(path: Path) -> dict[str, float]:
    import pandas  # heavy, and only needed once a cell is done

    table = pandas.read_parquet(path, columns=["metric", "score"])
    # How ties would fall at best and at worst is the report's matter; here they would only crowd the page.
    headline = table[~table["metric"].str.contains("/", regex=False)]
    means = headline.groupby("metric")["score"].mean().dropna()
    return {str(name): float(mean) for name, mean in means.items()}


def _read_if_there(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
