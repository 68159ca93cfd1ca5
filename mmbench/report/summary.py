"""``summary.json``: every number of the report in one place, for programs; its schema stands in docs/report.md."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats as distributions

from mmbench.report.corpus_scores import corpus_scores
from mmbench.report.fronts import fronts
from mmbench.report.joining import budget_of
from mmbench.report.looks import with_looks
from mmbench.report.matching import matching
from mmbench.report.pairs import ALPHA, all_pairs
from mmbench.report.run_data import RunData
from mmbench.report.scaling import scaling_study
from mmbench.stats import summarise_systems

SCHEMA = 1
"""Raised when a key changes its meaning."""
_BY_KIND = ("vqa_accuracy", "exact_match", "choice_accuracy")
"""Metrics of questions."""
_SCORE_KEYS = ("mean", "sd", "n_seeds", "n_examples", "n_clusters", "covers")


def build_summary(run: RunData) -> dict[str, Any]:
    """Means, intervals, pairs and ledgers of a run, as plain JSON values (``null`` for what is not known)."""
    scores = {split: with_derived(_numbers(table), run.predictions) for split, table in run.scores.items()}
    results = {split: _results(table) for split, table in scores.items()}
    _add_corpus_scores(results["test"], run)
    systems: dict[str, Any] = {}
    for name in run.all_systems:
        cells = run.cells_of(name)
        first = cells[0].content
        not_applicable: dict[str, str] = {}
        for cell in cells:
            not_applicable |= cell.content.get("not_applicable") or {}
        systems[name] = {
            "kind": "baseline" if run.is_baseline(name) else "system",
            "family": first.get("family"),
            "paper": first.get("paper"),
            "weights_hash": {str(cell.seed): cell.content.get("weights_hash") for cell in cells},
            "starting_weights_hash": first.get("starting_weights_hash"),
            "stages": first.get("stages") or [],
            "cells": {str(cell.seed): {"status": cell.status, "reason": cell.content.get("reason")} for cell in cells},
            "metrics": results["test"].get(name, {}),
            "splits": {split: found[name] for split, found in results.items() if split != "test" and name in found},
            "not_applicable": not_applicable,
            "ledger": {str(cell.seed): cell.ledger for cell in cells if cell.ledger},
        }
    content = {
        "schema": SCHEMA,
        "name": run.name,
        "data": _data(run),
        "budget": str(run.settings.get("budget", "")),
        "reranked": (run.settings.get("evaluation") or {}).get("rerank", 0),
        "seeds": sorted({cell.seed for cell in run.cells if not run.is_baseline(cell.system)}),
        "alpha": ALPHA,
        "systems": systems,
        "pairs": with_looks(all_pairs(scores["test"], run.systems, run.baselines), run.looks),
        "fronts": fronts(run, scores["test"], results["test"]),
        "matching": matching(run),
        "matched": run.matching,
        "no_numbers": no_numbers(run),
        "pretraining": run.pretraining,
        "latency": run.latency.get("rows", []),
        "command": run.command,
        "tuning": run.tuning,
        "looks": run.looks,
        "joined": [asdict(part) for part in run.parts],
    }
    cleaned: dict[str, Any] = _plain(content)
    return cleaned


def study_summary(runs: list[RunData], summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """The summary of several budgets: that of the largest, with ``scaling``, ``by_budget``, and all runs as joined."""
    study: dict[str, Any] = _plain(scaling_study(runs, summaries))
    by_budget = {str(budget_of(run)): summary for run, summary in zip(runs, summaries, strict=True)}
    joined = [part for summary in summaries for part in summary["joined"]]
    return summaries[-1] | {"joined": joined, "scaling": study, "by_budget": by_budget}


def _numbers(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows whose score is a number; an example without one counts as missing in that cell."""
    return scores[np.isfinite(scores["score"].astype(float))]


def no_numbers(run: RunData) -> list[dict[str, Any]]:
    """Which cells have scores on the test split that are no numbers, and how many: [{system, seed, metric, scores}]."""
    table = run.scores["test"]
    wrong = table[~np.isfinite(table["score"].astype(float))]
    counts = wrong.groupby(["system", "seed", "metric"], sort=False).size().rename("scores").reset_index()
    return [{str(key): value for key, value in row.items()} for row in counts.to_dict("records")]


def with_derived(scores: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Add what follows from other rows: scores by question kind, and the change of the text loss."""
    added = [scores]
    if "kind" in predictions and not scores.empty:
        asked = predictions["task"].isin(["answer", "choose"])
        kinds = predictions.loc[asked, ["example_id", "kind"]].drop_duplicates("example_id")
        kinds = kinds[kinds["kind"].fillna("") != ""]
        answers = scores[scores["metric"].isin(_BY_KIND)].merge(kinds, on="example_id")
        added.append(answers.assign(metric=answers["metric"] + "/" + answers["kind"]).drop(columns="kind"))
    key = ["system", "seed", "example_id", "cluster_id"]
    before = scores[scores["metric"] == "text_loss_before"]
    both = scores[scores["metric"] == "text_loss"].merge(before, on=key, suffixes=("", "_before"))
    if not both.empty:
        change = both["score"] - both["score_before"]
        added.append(both[key].assign(metric="text_loss_change", score=change))
    return pd.concat(added, ignore_index=True)


def _results(scores: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """By system, then metric."""
    results: dict[str, dict[str, Any]] = {}
    if scores.empty:
        return results
    seeds = scores.groupby(["system", "metric", "seed"], sort=True)["score"].mean().reset_index()
    per_seed: dict[tuple[str, str], dict[str, float]] = {}
    for found in seeds.to_dict("records"):
        key = (str(found["system"]), str(found["metric"]))
        per_seed.setdefault(key, {})[str(found["seed"])] = float(found["score"])
    for row in summarise_systems(scores).to_dict("records"):
        entry = {key: row[key] for key in _SCORE_KEYS} | {"interval": [row["ci_low"], row["ci_high"]]}
        entry["per_seed"] = per_seed[row["system"], row["metric"]]
        results.setdefault(row["system"], {})[row["metric"]] = entry
    return results


def _add_corpus_scores(results: dict[str, dict[str, Any]], run: RunData) -> None:
    """Scores of a whole corpus (BLEU) have no rows in ``scores.parquet``: their interval covers the seeds only."""
    for system, found in corpus_scores(run).items():
        for metric, per_seed in found.items():
            values = np.array(list(per_seed.values()))
            spread = float(values.std(ddof=1)) if len(values) > 1 else math.nan
            mean = float(values.mean())
            half = float(distributions.t.ppf(0.975, max(len(values) - 1, 1))) * spread / math.sqrt(len(values))
            results.setdefault(system, {})[metric] = {
                **{"mean": mean, "interval": [mean - half, mean + half], "sd": spread, "per_seed": per_seed},
                **{"n_seeds": len(values), "n_examples": None, "n_clusters": None, "covers": "seeds only"},
            }


def _data(run: RunData) -> dict[str, Any]:
    aside = run.data.get("set_aside") or []
    return {
        "name": run.data.get("name"),
        "fingerprint": run.data.get("fingerprint"),
        "tokenizer_hash": run.data.get("tokenizer_hash"),
        "splits": run.data.get("splits") or {},
        "set_aside": len(aside),
    }


def _plain(value: Any) -> Any:
    """Only what JSON knows: NumPy numbers become Python's, what is not finite becomes ``None``."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
