"""What a claim's runs have left: scores, costs and failures, under the names that its rules use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from mmbench.claims.claim import ARM
from mmbench.config.errors import UserError
from mmbench.harness.run_files import RunFiles, read_json
from mmbench.report.run_data import load_run
from mmbench.report.summary import with_derived

_COUNTED = ("flops_per_sample", "parameters_total", "parameters_trainable", "context_tokens")
_COST_COLUMNS = ["system", "cost", "image_size", "value"]
_SCORE_COLUMNS = ["system", "seed", "metric", "example_id", "cluster_id", "score"]


@dataclass
class Evidence:
    """What the rules look at."""

    scores: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=_SCORE_COLUMNS))
    """Per-example scores on the test split, what is derived from them included."""
    costs: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=_COST_COLUMNS))
    """A row a system, cost and image size."""
    failures: dict[str, str] = field(default_factory=dict)
    """System -> which of its cells failed, and why."""
    not_applicable: dict[str, dict[str, str]] = field(default_factory=dict)
    """System -> metric -> why it has no score of it: what the system cannot do, or the data does not have."""

    def why_missing(self, system: str, metric: str) -> str:
        """Why a system has no score of a metric, or of one that is derived from it; empty where nobody said so."""
        # Of a kind of questions, within the first K, before and after: the same step of the evaluation gives it.
        base = metric.partition("/")[0].partition("@")[0].removesuffix("_change")
        return self.not_applicable.get(system, {}).get(base, "")


def gather(runs: Mapping[str, Path]) -> Evidence:
    """Arm -> the folder of its run, as one evidence; systems are called ``SYSTEM@ARM`` where there are arms.

    Raises:
        UserError: a run is damaged, or the arms were not tested on the same data with the same tokenizer.
    """
    _refuse_other_data(runs)
    parts = [_of_run(root, f"{ARM}{arm}" if arm else "") for arm, root in runs.items()]
    return Evidence(
        pd.concat([part.scores for part in parts], ignore_index=True),
        pd.concat([part.costs for part in parts], ignore_index=True),
        {name: reason for part in parts for name, reason in part.failures.items()},
        {name: reasons for part in parts for name, reasons in part.not_applicable.items()},
    )


def _of_run(root: Path, suffix: str) -> Evidence:
    run = load_run(root)
    scores = with_derived(run.scores["test"], run.predictions)
    rows = [
        (row["system"] + suffix, cost, row["image_size"], row[cost])
        for row in (read_json(run.files.costs)["rows"] if run.files.costs.exists() else [])
        for cost in _COUNTED
    ]
    rows += [
        (row["system"] + suffix, row["measure"], row["image_size"], row["p50"])
        for row in run.latency.get("rows", [])
        if row["batch_size"] == 1
    ]
    failures: dict[str, str] = {}
    not_applicable: dict[str, dict[str, str]] = {}
    for cell in run.cells:
        not_applicable.setdefault(cell.system + suffix, {}).update(cell.content.get("not_applicable") or {})
        if cell.status != "done":
            name = cell.system + suffix
            before = f"{failures[name]}; " if name in failures else ""
            failures[name] = (
                f"{before}seed {cell.seed} {cell.status}: {cell.content.get('reason') or 'no reason given'}"
            )
    return Evidence(
        scores.assign(system=scores["system"].astype(str) + suffix),
        pd.DataFrame(rows, columns=_COST_COLUMNS).astype({"value": float}),
        failures,
        not_applicable,
    )


def _refuse_other_data(runs: Mapping[str, Path]) -> None:
    for key in ("fingerprint", "tokenizer_hash"):
        found = {arm: read_json(RunFiles(root).data)[key] for arm, root in runs.items()}
        if len(set(found.values())) > 1:
            differing = ", ".join(f"{arm} {value}" for arm, value in found.items())
            raise UserError(f"the arms of a claim differ in the data's {key} ({differing}): they cannot be compared")
