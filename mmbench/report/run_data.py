"""Everything the report reads from a run's folder; whatever is not there yet is empty, never an error."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from mmbench.config.baselines import BASELINES, SEEDLESS
from mmbench.config.errors import UserError
from mmbench.harness.run_files import RunFiles, read_json
from mmbench.report.escaping import encodable

_SCORE_COLUMNS = ["system", "seed", "metric", "example_id", "cluster_id", "score"]


@dataclass
class Cell:
    """One trained (or failed, or waiting) system and seed."""

    system: str
    """Its name in the tables."""
    seed: int
    """Training seed."""
    content: dict[str, Any]
    """``cell.json``."""
    log: pd.DataFrame = field(default_factory=pd.DataFrame)
    """``log.jsonl``."""

    @property
    def status(self) -> str:
        """waiting, training, evaluating, done or failed."""
        return str(self.content.get("status", "waiting"))

    @property
    def ledger(self) -> dict[str, Any]:
        """What the cell spent; empty if it did not finish."""
        return dict(self.content.get("ledger") or {})


@dataclass(frozen=True)
class Part:
    """One of the runs that were joined, and what was taken from it."""

    name: str
    """The run's name."""
    budget: str
    """What each of its cells was given."""
    systems: list[str]
    """Systems and baselines of which cells are taken from it."""
    seeds: list[int]
    """Their training seeds."""
    machine: str
    """Processor and accelerator."""
    numerics: str
    """Attention kernel and precision."""
    trials: int
    """Tuning trials that each system had."""


@dataclass
class RunData:
    """A run's files, read; or those of several runs, joined."""

    files: RunFiles
    """Where they lie; of joined runs those of the first."""
    name: str
    """The run's name, or that of the joint report."""
    settings: dict[str, Any]
    """``comparison.yaml``."""
    cells: list[Cell]
    """In the tables' order."""
    scores: dict[str, pd.DataFrame]
    """Per-example scores by split; ``test`` first."""
    predictions: pd.DataFrame
    """Raw predictions."""
    data: dict[str, Any]
    """``data.json``."""
    environment: dict[str, Any]
    """``environment.json``."""
    probe: dict[str, Any]
    """``probe.json``."""
    pretraining: list[dict[str, Any]]
    """``pretraining.json``."""
    latency: dict[str, Any]
    """``latency.json``."""
    examples: list[dict[str, Any]]
    """``examples.json``."""
    command: str
    """The command that repeats the run; of joined runs one a line."""
    tuning: dict[str, Any]
    """``tuning.json``; empty where nothing was tuned."""
    looks: dict[str, Any]
    """``looks.json``; empty where the number of seeds was fixed beforehand."""
    matching: dict[str, Any] = field(default_factory=dict)
    """``matching.json``; empty where no sizes were made equal."""
    parts: list[Part] = field(default_factory=list)
    """The runs that were joined; none for a single run."""
    left_out: list[str] = field(default_factory=list)
    """What joining could not keep, and why: sentences."""

    @property
    def systems(self) -> list[str]:
        """The compared systems, as the settings order them."""
        return [name for name in self.all_systems if not self.is_baseline(name)]

    @property
    def baselines(self) -> list[str]:
        """The baselines."""
        return [name for name in self.all_systems if self.is_baseline(name)]

    @property
    def all_systems(self) -> list[str]:
        """Systems, then baselines."""
        return list(dict.fromkeys(cell.system for cell in self.cells))

    def is_baseline(self, system: str) -> bool:
        """Whether ``system`` is one of the baselines."""
        kinds = [cell.content.get("kind") for cell in self.cells if cell.system == system]
        return "baseline" in kinds or (system in BASELINES and "system" not in kinds)

    def cells_of(self, system: str) -> list[Cell]:
        """The cells of one system, by seed."""
        return [cell for cell in self.cells if cell.system == system]


def load_run(run_dir: Path) -> RunData:
    """Read ``runs/NAME``.

    Raises:
        UserError: there is no such folder, it holds no cells, or one of its files is damaged.
    """
    files = RunFiles(run_dir)
    if not run_dir.is_dir() or not (files.cells_dir.is_dir() or files.tuning.is_file()):
        raise UserError(f"'{run_dir}' is not the folder of a run: it needs a folder 'cells'; give runs/NAME")
    settings = _settings(files.comparison)
    run = RunData(
        files=files,
        name=files.name,
        settings=settings,
        cells=_cells(files, settings),
        scores=_all_scores(files),
        predictions=_parquet(files.predictions, [cell.predictions for cell in files.cells()]),
        data=_json(files.data, {}),
        environment=_json(files.environment, {}),
        probe=_json(files.probe, {}),
        pretraining=_json(files.pretraining, []),
        latency=_json(files.latency, {}),
        examples=_json(files.examples, []),
        command=files.command.read_text(encoding="utf-8").strip() if files.command.is_file() else "",
        tuning=_json(files.tuning, {}),
        looks=_json(files.looks, {}),
        matching=_json(files.matching, {}),
    )
    if not run.cells:
        raise UserError(f"the run '{run_dir}' has no cells yet: run it first, then make its report")
    return run


def _settings(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except yaml.YAMLError as error:
        raise UserError(f"'{path}' is not readable as YAML; restore it or run the comparison anew") from error
    return content if isinstance(content, dict) else {}


def _cells(files: RunFiles, settings: dict[str, Any]) -> list[Cell]:
    """All cells: systems as the settings order them, others, then the baselines; seeds rising.

    A cell that the settings ask for and that has no folder is there too, as one that waits: no gap is silent. The same
    holds of a seed that was added, which the settings do not name, once any cell has it.
    """
    cells = [Cell(each.system, each.seed, _json(each.cell, {}), _log(each.log)) for each in files.cells()]
    listed = list(settings.get("systems") or {})
    if cells or files.tuning.is_file():
        there = {(cell.system, cell.seed) for cell in cells}
        seeds = list(dict.fromkeys([*map(int, settings.get("seeds") or []), *sorted(cell.seed for cell in cells)]))
        asked = [(name, seed, "system") for name in listed for seed in seeds]
        for name in settings.get("baselines") or []:
            asked += [(name, seed, "baseline") for seed in seeds[: 1 if name in SEEDLESS else None]]
        cells += [Cell(name, seed, {"kind": kind}) for name, seed, kind in asked if (name, seed) not in there]

    def rank(cell: Cell) -> tuple[int, int, str, int]:
        if cell.system in listed:
            return 0, listed.index(cell.system), "", cell.seed
        if cell.system in BASELINES:
            return 2, BASELINES.index(cell.system), "", cell.seed
        return 1, 0, cell.system, cell.seed

    return sorted(cells, key=rank)


def _all_scores(files: RunFiles) -> dict[str, pd.DataFrame]:
    cells = files.cells()
    found = [files.root, *(cell.root for cell in cells)]
    names = {path.name for folder in found for path in folder.glob("scores_*.parquet")}
    splits = ["test", *sorted(name.removeprefix("scores_").removesuffix(".parquet") for name in names)]
    return {split: _parquet(files.scores(split), [cell.scores(split) for cell in cells]) for split in splits}


def _parquet(whole: Path, parts: list[Path]) -> pd.DataFrame:
    """The run's table, or what its cells left so far."""
    paths = [whole] if whole.is_file() else [path for path in parts if path.is_file()]
    try:
        tables = [pd.read_parquet(path) for path in paths]
    except (OSError, ValueError) as error:
        raise UserError(f"a table among {', '.join(map(str, paths))} is damaged: {error}") from error
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=_SCORE_COLUMNS)


def _json(path: Path, missing: Any) -> Any:
    try:
        return encodable(read_json(path))
    except FileNotFoundError:
        return missing
    except json.JSONDecodeError as error:
        raise UserError(f"'{path}' is not readable as JSON ({error}); restore it or run the comparison anew") from error


def _log(path: Path) -> pd.DataFrame:
    """The lines of ``log.jsonl``; a last line that a kill cut short is left out."""
    lines = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return pd.DataFrame(lines)
