"""Looks at a pair of systems, seed by seed, until it is decided: after each, the cells of one more seed are run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mmbench.config.deciding import DecidingSettings
from mmbench.config.load import load_settings_file
from mmbench.harness.run_files import RunFiles, write_json
from mmbench.stats import compare_systems, look_levels

METRICS = (
    *("vqa_accuracy", "exact_match", "cider_d", "choice_accuracy", "match_accuracy"),
    *("text_to_image_recall@5", "zero_shot_accuracy"),
)
"""What a pair is decided on where no metric is named: the first that both have."""


def look(root: Path, seeds: Sequence[int]) -> None:
    """Look at the pair with each number of seeds up to ``seeds``, and write ``looks.json``.

    Everything is computed again from the cells, so that a process that was killed leaves no look half taken.
    """
    run = RunFiles(root)
    settings = load_settings_file(run.comparison)
    scores = _scores(run, settings.deciding.pair, seeds)
    write_json(run.looks, looks_at(scores, settings.deciding, settings.seeds, seeds))


def looks_at(
    scores: pd.DataFrame, deciding: DecidingSettings, first: Sequence[int], seeds: Sequence[int]
) -> dict[str, Any]:
    """What ``looks.json`` holds: the looks at the first seeds, then with one more each, until the pair is decided.

    A look counts the seeds that both systems have finished; where a failed cell leaves no more of them than there were
    before, there is nothing new to look at. The level of a look is that of `look_levels`, its interval that of the
    difference at this level: all of them together cover the true difference with probability 1 - alpha (Jennison and
    Turnbull 1989, repeated confidence intervals).

    Args:
        scores: the pair's per-example scores.
        deciding: the pair, metric, most seeds and alpha.
        first: the seeds of the first look.
        seeds: the seeds there are by now, ``first`` among them.
    """
    pair = deciding.pair
    metric = deciding.metric or _metric(scores, pair)
    chosen = scores[(scores["metric"] == metric) & scores["seed"].isin(seeds)]
    found: dict[str, Any] = {"pair": list(pair), "metric": metric, "alpha": deciding.alpha}
    found |= {"max_seeds": deciding.max_seeds, "looks": [], "decided": False, "reason": None}
    if missing := [name for name in pair if name not in set(chosen["system"])]:
        found["reason"] = f"no scores of '{metric}' for {' and '.join(missing)}" if metric else "no common metric"
        return found
    # The first of the pair is the one whose advantage is counted.
    chosen = chosen.assign(order=chosen["system"].map(pair.index)).sort_values("order", kind="stable")
    counts: list[int] = []
    for number in range(len(first), len(seeds) + 1):
        row = compare_systems(chosen[chosen["seed"].isin(seeds[:number])], metric).iloc[0]
        if row["n_seeds"] < 1 or (counts and row["n_seeds"] <= counts[-1]):
            continue
        counts.append(int(row["n_seeds"]))
        level = look_levels(counts, deciding.max_seeds, deciding.alpha)[-1]
        row = compare_systems(chosen[chosen["seed"].isin(seeds[:number])], metric, level).iloc[0]
        keys = ("p", "difference", "ci_low", "ci_high")
        values = {key: None if pd.isna(row[key]) else float(row[key]) for key in keys}
        found["looks"].append({"seeds": counts[-1], "level": level, **values})
        # With one seed the interval covers the images alone: that decides nothing.
        if counts[-1] > 1 and values["p"] is not None and values["p"] < level:
            found["decided"] = True
            break
    return found


def _scores(run: RunFiles, pair: Sequence[str], seeds: Sequence[int]) -> pd.DataFrame:
    """The pair's scores on the test split, of the cells that are done."""
    cells = [run.cell(system, seed) for system in pair for seed in seeds]
    done = [pd.read_parquet(cell.scores()) for cell in cells if cell.read().get("status") == "done"]
    return pd.concat(done, ignore_index=True) if done else pd.DataFrame(columns=["system", "seed", "metric"])


def _metric(scores: pd.DataFrame, pair: Sequence[str]) -> str:
    """The first of ``METRICS`` that both systems have; empty if there is none."""
    held = [set(scores.loc[scores["system"] == name, "metric"]) for name in pair]
    return next((metric for metric in METRICS if all(metric in each for each in held)), "")
