"""Where every file of a run lies, and how the small JSON ones are read and written."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbench.config.whole_file import whole_file

_SEED_FOLDER = re.compile(r"^seed(\d+)$")


@dataclass(frozen=True)
class RunFiles:
    """The files of one comparison, ``runs/NAME``. Nothing is created or read until it is asked for."""

    root: Path
    """The folder ``runs/NAME``."""

    @property
    def name(self) -> str:
        """The comparison's name."""
        return self.root.name

    @property
    def runs_dir(self) -> Path:
        """The folder that holds this run and its siblings."""
        return self.root.parent

    @property
    def comparison(self) -> Path:
        """The resolved settings."""
        return self.root / "comparison.yaml"

    @property
    def command(self) -> Path:
        """The shell command that repeats the run."""
        return self.root / "command.txt"

    @property
    def environment(self) -> Path:
        """Versions and hardware."""
        return self.root / "environment.json"

    @property
    def probe(self) -> Path:
        """What the probe of the machine decided."""
        return self.root / "probe.json"

    @property
    def data(self) -> Path:
        """Counts and hashes of the data."""
        return self.root / "data.json"

    @property
    def answers(self) -> Path:
        """The frequent answers that a classifier chooses among."""
        return self.root / "answers.json"

    @property
    def stages(self) -> Path:
        """What trains and what is frozen in each stage of each system."""
        return self.root / "stages.json"

    @property
    def matching(self) -> Path:
        """The widths that make the systems' parameters equal, and what could not be made so."""
        return self.root / "matching.json"

    @property
    def pretraining(self) -> Path:
        """The common starting point: hashes and ledger."""
        return self.root / "pretraining.json"

    def scores(self, split: str = "test") -> Path:
        """Scores of all cells, one row an example; ``scores_SPLIT.parquet`` for splits other than the test split."""
        return self.root / _scores_name(split)

    @property
    def predictions(self) -> Path:
        """Raw predictions of all cells."""
        return self.root / "predictions.parquet"

    @property
    def errors(self) -> Path:
        """Tracebacks of what failed."""
        return self.root / "errors.log"

    @property
    def pretraining_plan(self) -> Path:
        """Which parts are pretrained, and in which folders."""
        return self.root / "pretraining.plan.json"

    @property
    def preparation_progress(self) -> Path:
        """How far the preparation of the data is."""
        return self.root / "preparation.progress.json"

    @property
    def latency_progress(self) -> Path:
        """How far the measurement of latency is."""
        return self.root / "latency.progress.json"

    @property
    def prepared(self) -> Path:
        """The data as the first process opened it, for the other processes."""
        return self.root / "prepared.pickle"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer of all systems."""
        return self.root / "tokenizer.json"

    def text_loss_before(self, split: str, system: str = "") -> Path:
        """The text-only loss, example by example, of the language model that all systems share before it is trained.

        Or of the one that ``system`` starts from instead.
        """
        return self.root / f"text_loss_before_{split}{'_of_' if system else ''}{system}.parquet"

    @property
    def latency(self) -> Path:
        """Measured latencies."""
        return self.root / "latency.json"

    @property
    def examples(self) -> Path:
        """The examples shown in the report, with every system's answers."""
        return self.root / "examples.json"

    @property
    def examples_dir(self) -> Path:
        """Pictures of those examples."""
        return self.root / "examples"

    @property
    def costs(self) -> Path:
        """FLOPs and parameters of each system over rising resolution."""
        return self.root / "costs.json"

    @property
    def summary(self) -> Path:
        """Means, intervals and pairs."""
        return self.root / "summary.json"

    @property
    def tuning(self) -> Path:
        """Trials and tuned settings of each system."""
        return self.root / "tuning.json"

    @property
    def looks(self) -> Path:
        """The looks at a pair while seeds were added."""
        return self.root / "looks.json"

    @property
    def tracking(self) -> Path:
        """What has been sent to MLflow so far, and to which of its runs."""
        return self.root / "tracking.json"

    @property
    def cells_dir(self) -> Path:
        """The folder of all cells."""
        return self.root / "cells"

    @property
    def lock(self) -> Path:
        """Locked by the one process that works on the run."""
        return self.root / "lock"

    def cell(self, system: str, seed: int) -> "CellFiles":
        """The files of one cell, whether it exists or not."""
        return CellFiles(self.cells_dir / system / f"seed{seed}")

    @property
    def study(self) -> Path:
        """Optuna's database of the run's own searches."""
        return self.root / "study.db"

    @property
    def trials_owner(self) -> Path:
        """By what the run's trials are known in a storage that it may share with others."""
        return self.root / "trials" / "owner.txt"

    @property
    def sweep(self) -> Path:
        """What a sweep found."""
        return self.root / "sweep.json"

    @property
    def trials_table(self) -> Path:
        """Every trial of a sweep, one a row."""
        return self.root / "trials.csv"

    def trial(self, system: str, number: int) -> "TrialFiles":
        """The files of one trial, whether it exists or not."""
        return TrialFiles(self.root / "trials" / system / f"{number:04d}")

    def trials(self) -> "list[TrialFiles]":
        """The trials that have a folder here, by system's name, then by number."""
        found = (self.root / "trials").glob("*/[0-9]*")
        return [TrialFiles(folder) for folder in sorted(found) if folder.name.isdigit()]

    def cells(self) -> "list[CellFiles]":
        """The cells that have a folder, by system's name, then by seed."""
        if not self.cells_dir.is_dir():
            return []
        found = [CellFiles(folder) for folder in self.cells_dir.glob("*/seed*") if _SEED_FOLDER.match(folder.name)]
        return sorted(found, key=lambda cell: (cell.system, cell.seed))


@dataclass(frozen=True)
class CellFiles:
    """The files of one cell, ``runs/NAME/cells/SYSTEM/seedK``."""

    root: Path
    """The folder of the cell."""

    @property
    def system(self) -> str:
        """The system's name."""
        return self.root.parent.name

    @property
    def seed(self) -> int:
        """The training seed."""
        match = _SEED_FOLDER.match(self.root.name)
        if match is None:
            raise ValueError(f"{self.root} is not the folder of a cell: its name must be seedK")
        return int(match[1])

    @property
    def number(self) -> int:
        """What tells it from the others of its system: the seed, or a trial's number."""
        return self.seed

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.system} seed {self.seed}"

    @property
    def key(self) -> str:
        """What files call it."""
        return f"{self.system}/seed{self.seed}"

    @property
    def cell(self) -> Path:
        """Status, reason and ledger."""
        return self.root / "cell.json"

    @property
    def log(self) -> Path:
        """Training and validation curves, one JSON object a line."""
        return self.root / "log.jsonl"

    @property
    def progress(self) -> Path:
        """How far the cell is, rewritten in place."""
        return self.root / "progress.json"

    @property
    def settings(self) -> Path:
        """The settings the cell's process was started with."""
        return self.root / "settings.yaml"

    @property
    def checkpoint(self) -> Path:
        """What an interrupted cell continues from."""
        return self.root / "checkpoints" / "last.ckpt"

    @property
    def weights(self) -> Path:
        """The trained weights."""
        return self.root / "checkpoints" / "final.ckpt"

    def scores(self, split: str = "test") -> Path:
        """Scores of this cell, one row an example."""
        return self.root / _scores_name(split)

    @property
    def predictions(self) -> Path:
        """Raw predictions of this cell."""
        return self.root / "predictions.parquet"

    def read(self) -> dict[str, Any]:
        """The content of ``cell.json``; empty where the cell has not been started."""
        try:
            content: dict[str, Any] = read_json(self.cell)
        except FileNotFoundError:
            return {}
        return content

    def write(self, content: dict[str, Any]) -> None:
        """Replace ``cell.json``; the folder is made where it is missing."""
        write_json(self.cell, content)


@dataclass(frozen=True)
class TrialFiles(CellFiles):
    """The files of one trial, ``runs/NAME/trials/SYSTEM/0007``: those of a cell, scored on the validation split."""

    @property
    def number(self) -> int:
        """Its number in the study."""
        return int(self.root.name)

    @property
    def seed(self) -> int:
        """The training seed."""
        return int(read_json(self.trial)["seed"])

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.system} trial {self.number}"

    @property
    def key(self) -> str:
        """What files call it."""
        return f"trials/{self.system}/{self.root.name}"

    @property
    def trial(self) -> Path:
        """What the trial was given: budget, seed and values."""
        return self.root / "trial.json"

    @property
    def verdict(self) -> Path:
        """Up to which mark the study has looked at the trial, and whether it must stop there."""
        return self.root / "verdict.json"

    @property
    def spent(self) -> Path:
        """What a training that did not come to its end had spent."""
        return self.root / "spent.json"


def write_json(path: Path, content: Any) -> None:
    """Replace ``path`` by ``content`` as JSON, whole or not at all, also when the process is killed meanwhile."""
    with whole_file(path) as part:
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        json.JSONDecodeError: it is not JSON.
    """
    return json.loads(path.read_text(encoding="utf-8"))


def _scores_name(split: str) -> str:
    return "scores.parquet" if split == "test" else f"scores_{split}.parquet"
