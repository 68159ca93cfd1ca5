"""A real A/A test: one system under two names must come out as different in about 5% of comparisons.

`python benchmarks/same_system.py` trains one system with many seeds (for each comparison and each name others, so that
initialisation and data order differ and no training run is used twice), deals them out to comparisons of two names,
and counts how often `compare_systems` tells the names apart. The run lies under `runs/` and is continued if it was
broken off.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mmbench.config.load import load_settings
from mmbench.harness.compare import run_comparison
from mmbench.stats import compare_systems

METRICS = ("vqa_accuracy", "cider_d", "text_to_image_recall@5", "image_to_text_recall@5", "text_loss")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", default="unified", help="the system that is compared with itself")
    parser.add_argument("--budget", default="2000samples", help="what each training run spends")
    parser.add_argument("--comparisons", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3, help="training runs of each name in each comparison")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options = parser.parse_args()

    num_cells = 2 * options.comparisons * options.seeds
    settings = load_settings([options.system], budget=options.budget, seeds=num_cells, name="same-system")
    settings = replace(settings, baselines=[], latency=replace(settings.latency, repeats=0))
    files = run_comparison(settings, options.runs, jobs=None, command="python benchmarks/same_system.py")
    scores = pd.read_parquet(files.scores())
    print(f"{options.comparisons} comparisons of '{options.system}' with itself, {options.seeds} seeds a name")
    for metric in METRICS:
        p = [_p_value(scores, metric, number, options.seeds) for number in range(options.comparisons)]
        different = sum(value < 0.05 for value in p)
        print(f"{metric}: {different} of {len(p)} told apart; p from {min(p):.3f} to {max(p):.3f}")


def _p_value(scores: pd.DataFrame, metric: str, number: int, num_seeds: int) -> float:
    """p of one comparison: the next seeds are the first name's, those after them the second's."""
    first = 2 * number * num_seeds
    names = []
    for name, start in (("A", first), ("B", first + num_seeds)):
        own = scores[scores["seed"].between(start, start + num_seeds - 1)]
        names.append(own.assign(system=name, seed=own["seed"] - start))
    return float(compare_systems(pd.concat(names), metric)["p"].iloc[0])


if __name__ == "__main__":
    main()
