"""Settings of the search for a system's own values: the same search for every system of a comparison."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class TuningSettings:
    """The search before the cells (``compare --tune``), or all that a sweep does."""

    trials: int = 0
    """Trials of each system; 0: nothing is searched for, all systems train by the recipe as it stands."""
    space: dict[str, Any] = field(default_factory=dict)
    """What is searched: dotted keys of the settings, each with its ``kind`` and bounds (``mmbench.config.space``)."""
    sampler: Literal["tpe", "cmaes", "nsga2", "random"] = "tpe"
    """What proposes the values of a trial."""
    pruner: Literal["none", "median", "hyperband"] = "median"
    """What ends a trial that falls behind, by its validation loss each time ``training.validation_share`` is spent."""
    metric: str = "validation_loss"
    """What is searched for on the validation split: ``validation_loss``, or any score of the evaluation."""
    cost: Literal["none", "latency", "flops", "parameters"] = "none"
    """A second thing to be small; the search then ends in a front of trials that nothing beats in both."""
    budget_share: float = 0.25
    """The budget of one trial before a comparison's cells, as a share of a cell's; a sweep's budget is a trial's."""
    training_seed: int = 1000
    """Training seed of every trial; apart from those of the cells, so that no cell has had its luck tuned."""
    sampler_seed: int = 0
    """Seed of the sampler, the same for all systems: their first trials have the same values of what they share."""
    retries: int = 0
    """How often a trial that failed is tried again; one that was interrupted is always continued or tried again."""
