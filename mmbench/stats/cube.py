"""Per-example scores of one metric as a dense array: systems x seeds x examples."""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

COLUMNS = ("system", "seed", "metric", "example_id", "cluster_id", "score")
"""What a table of scores must have."""


@dataclass(frozen=True)
class ScoreCube:
    """Scores of one metric."""

    systems: list[str]
    """K names, in the order of their appearance."""
    seeds: list[Hashable]
    """S seeds, ascending."""
    cluster: NDArray[np.int64]
    """[E] number of each example's cluster (its image)."""
    values: NDArray[np.float64]
    """[K, S, E]; NaN where there is no score."""

    @classmethod
    def of(cls, scores: pd.DataFrame, metric: str) -> "ScoreCube":
        """The scores of ``metric``.

        Raises:
            ValueError: a column is missing, there are no scores of that metric, an example was scored twice with the
                same system and seed, or stands in two clusters.
        """
        missing = [column for column in COLUMNS if column not in scores]
        if missing:
            raise ValueError(f"the table of scores lacks {', '.join(missing)}; it needs {', '.join(COLUMNS)}")
        chosen = scores[scores["metric"].to_numpy() == metric]
        if chosen.empty:
            known = ", ".join(sorted(map(str, scores["metric"].unique()))) or "nothing"
            raise ValueError(f"no scores of the metric '{metric}'; the table holds: {known}")
        system, systems = pd.factorize(chosen["system"].astype(str))
        seed, seeds = pd.factorize(chosen["seed"], sort=True)
        example, examples = pd.factorize(chosen["example_id"])
        cluster_of_row, _ = pd.factorize(chosen["cluster_id"])
        cell = (system * len(seeds) + seed) * len(examples) + example
        _refuse_repeated(chosen, cell)
        cluster = np.zeros(len(examples), np.int64)
        cluster[example] = cluster_of_row
        if (cluster[example] != cluster_of_row).any():
            first = chosen["example_id"].iloc[int(np.argmax(cluster[example] != cluster_of_row))]
            raise ValueError(f"example '{first}' of '{metric}' stands in two clusters")
        values = np.full(len(systems) * len(seeds) * len(examples), np.nan)
        values[cell] = chosen["score"].to_numpy(dtype=np.float64)
        return cls(list(systems), list(seeds), cluster, values.reshape(len(systems), len(seeds), len(examples)))

    def of_system(self, name: str) -> NDArray[np.float64]:
        """[S, E] the scores of one system."""
        scores: NDArray[np.float64] = self.values[self.systems.index(name)]
        return scores


def _refuse_repeated(chosen: pd.DataFrame, cell: NDArray[np.int64]) -> None:
    if len(np.unique(cell)) == len(cell):
        return
    first = chosen[chosen.duplicated(["system", "seed", "example_id"])].iloc[0]
    raise ValueError(
        f"example '{first['example_id']}' has two scores of '{first['metric']}' for system '{first['system']}', "
        f"seed {first['seed']}"
    )
