"""Tables of scores with known truth: effects of seeds, images, and systems on images, in clusters of unequal size."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Setting:
    """How scores come about; ``num_systems`` equal systems unless shifted."""

    num_seeds: int
    num_examples: int
    kind: str = "binary"
    """binary: 0/1 scores; skewed: positive with a long tail; normal."""
    seed_sd: float = 0.2
    """Of each system's seeds, on the scale of the logit (of the score itself where normal)."""
    taste_sd: float = 0.5
    """Of what each system finds easy or hard in an image."""
    largest_cluster: int = 1
    """Examples of an image: 1 to this many, evenly spread."""
    num_systems: int = 2

    def tables(self, num: int, seed: int = 0) -> Iterator[pd.DataFrame]:
        """``num`` independent tables in the format of `compare_systems`."""
        rng = np.random.default_rng(seed)
        cluster = self.clusters(rng)
        shape = (self.num_systems, self.num_seeds, self.num_examples)
        system, run, example = (index.ravel() for index in np.indices(shape))
        frame = pd.DataFrame(
            {
                "system": np.array([f"system {k}" for k in range(self.num_systems)], object)[system],
                "seed": run,
                "metric": "score",
                "example_id": example,
                "cluster_id": cluster[example],
            }
        )
        for _ in range(num):
            yield frame.assign(score=self.draw(rng, cluster).ravel())

    def clusters(self, rng: np.random.Generator) -> np.ndarray:
        """[E] cluster of each example."""
        sizes = rng.permutation(np.arange(self.num_examples) % self.largest_cluster + 1)
        return np.repeat(np.arange(self.num_examples), sizes)[: self.num_examples]

    def draw(self, rng: np.random.Generator, cluster: np.ndarray) -> np.ndarray:
        """[systems, seeds, examples] scores."""
        num_clusters = cluster[-1] + 1
        shape = (self.num_systems, self.num_seeds, self.num_examples)
        easy = rng.normal(0, 1, num_clusters)[cluster]
        taste = rng.normal(0, self.taste_sd, (self.num_systems, 1, num_clusters))[:, :, cluster]
        level = easy + taste + rng.normal(0, self.seed_sd, (self.num_systems, self.num_seeds, 1))
        if self.kind == "binary":
            return (rng.random(shape) < 1 / (1 + np.exp(-level))).astype(float)
        if self.kind == "skewed":
            return np.exp(0.5 * level) * rng.gamma(2, 0.5, shape)
        return level + rng.normal(0, 1, shape)
