"""The learning rate as a function of the fraction of a stage's budget that is spent."""

import math


def schedule_factor(fraction: float, warmup_share: float, end_factor: float) -> float:
    """A linear rise over ``warmup_share``, then a cosine down to ``end_factor`` at the end (arXiv 1608.03983).

    Args:
        fraction: of the stage's budget, 0 to 1.
        warmup_share: fraction of the rise, 0 to below 1.
        end_factor: the factor at the end.
    """
    fraction = min(max(fraction, 0.0), 1.0)
    if fraction < warmup_share:
        return fraction / warmup_share
    progress = (fraction - warmup_share) / (1 - warmup_share)
    return end_factor + (1 - end_factor) * 0.5 * (1 + math.cos(math.pi * progress))
