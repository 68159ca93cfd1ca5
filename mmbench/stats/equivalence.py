"""Whether two systems are as good as each other: two one-sided tests (Schuirmann 1987)."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from mmbench.stats.compare import check_alpha, covers
from mmbench.stats.cube import ScoreCube
from mmbench.stats.multiple import holm
from mmbench.stats.pairing import DETERMINISTIC, pairs_of


def equivalence(
    scores: pd.DataFrame,
    metric: str,
    margin: float,
    alpha: float = 0.05,
    higher_is_better: bool = True,
    deterministic: Collection[str] = DETERMINISTIC,
) -> pd.DataFrame:
    """Every pair of systems on one metric: is the difference surely smaller than ``margin``? One row a pair.

    ``scores`` is as for :func:`~mmbench.stats.compare_systems`. Columns: system_a, system_b, difference (a minus b),
    ci_low, ci_high (the 1 - 2 alpha interval, which lies within the margin exactly where the unadjusted test finds
    equivalence), margin, p_a_not_worse (a is worse than b by no more than the margin: non-inferiority; for a loss say
    that lower is better), p_b_not_worse, p_equivalent (the larger of the two), p_holm (that, adjusted over the pairs),
    equivalent (p_holm < alpha), n_seeds, n_clusters, covers. NaN where nothing can be said.

    Raises:
        ValueError: a margin that is not above 0; as `compare_systems`.
    """
    check_alpha(alpha)
    if not margin > 0:
        raise ValueError(f"the margin is {margin}; it must be above 0: the smallest difference that would matter")
    rows: list[dict[str, object]] = []
    for pair in pairs_of(ScoreCube.of(scores, metric), deterministic):
        row: dict[str, object] = {"system_a": pair.system_a, "system_b": pair.system_b, "margin": margin}
        estimate = pair.estimate()
        if estimate is None:
            rows.append(row | {"n_seeds": 0, "n_clusters": 0, "covers": "nothing"})
            continue
        half = estimate.half_width(2 * alpha)
        a_not_worse, b_not_worse = estimate.p_above(-margin), estimate.p_below(margin)
        if not higher_is_better:
            a_not_worse, b_not_worse = b_not_worse, a_not_worse
        row |= {
            "difference": estimate.mean,
            "ci_low": estimate.mean - half,
            "ci_high": estimate.mean + half,
            "p_a_not_worse": a_not_worse,
            "p_b_not_worse": b_not_worse,
            "p_equivalent": float(np.maximum(a_not_worse, b_not_worse)),
            "n_seeds": estimate.num_seeds,
            "n_clusters": estimate.num_clusters,
            "covers": covers(estimate),
        }
        rows.append(row)
    table = pd.DataFrame(rows, columns=_COLUMNS)
    table["p_holm"] = holm(table["p_equivalent"].to_numpy(dtype=float))
    table["equivalent"] = table["p_holm"] < alpha
    return table


_COLUMNS = [
    *("system_a", "system_b", "difference", "ci_low", "ci_high", "margin", "p_a_not_worse", "p_b_not_worse"),
    *("p_equivalent", "p_holm", "equivalent", "n_seeds", "n_clusters", "covers"),
]
