"""Made-up evidence with known truth."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from mmbench.claims.evidence import Evidence

NUM_IMAGES = 60


def scores(
    means: Mapping[str, float],
    metric: str = "vqa_accuracy",
    seeds: Iterable[int] = range(4),
    spread: float = 0.02,
    images: int = NUM_IMAGES,
) -> pd.DataFrame:
    """Systems with these mean scores; every example and seed scatters by ``spread``, exactly around the mean."""
    rng = np.random.default_rng(0)
    rows = []
    for system, mean in means.items():
        for seed in seeds:
            noise = rng.normal(0, 1, images)
            noise = (noise - noise.mean()) * spread + rng.choice([-1, 1]) * spread / 20
            rows += [(system, seed, metric, f"e{i}", f"i{i}", mean + value) for i, value in enumerate(noise)]
    return pd.DataFrame(rows, columns=["system", "seed", "metric", "example_id", "cluster_id", "score"])


def costs(cost: str, by_system: Mapping[str, Mapping[int, float]]) -> pd.DataFrame:
    """System -> image size -> cost."""
    rows = [(system, cost, size, value) for system, of in by_system.items() for size, value in of.items()]
    return pd.DataFrame(rows, columns=["system", "cost", "image_size", "value"])


def evidence(*tables: pd.DataFrame, costs: pd.DataFrame | None = None, **failures: str) -> Evidence:
    """The tables, joined."""
    found = Evidence(failures=failures)
    if tables:
        found.scores = pd.concat(tables, ignore_index=True)
    if costs is not None:
        found.costs = costs
    return found
