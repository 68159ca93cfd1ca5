"""Optuna's samplers and pruners by name, drawing by trial: trial 7 has the same draws whichever process asks for it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, CmaEsSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

_MOST_RANDOM_TRIALS = 10
_FEWEST_RANDOM_TRIALS = 4


class ByNumber(BaseSampler):
    """Another sampler, made anew for each trial from (seed, trial number).

    The processes that share a study then never draw the same, a search that was interrupted goes on as if it had not
    been, and two systems' first trials have the same values.

    Args:
        make: the sampler of a seed.
        seed: of the search.
        first: the values of trial 0: the recipe as it stands, so that the search never ends below it.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int, first: Mapping[str, Any]) -> None:
        self._make, self._seed, self._first = make, seed, first
        self._made: tuple[int, BaseSampler] | None = None

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Tell the trial's sampler."""
        self._of(trial).before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What is drawn together; nothing in trial 0."""
        return {} if trial.number == 0 else self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw what is drawn together."""
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one value; in trial 0 it is the recipe's, where that lies in the space."""
        if trial.number == 0 and param_name in self._first:
            value = self._first[param_name]
            if _contains(param_distribution, value):
                return value
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Tell the trial's sampler."""
        self._of(trial).after_trial(study, trial, state, values)

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        if self._made is None or self._made[0] != trial.number:
            drawn = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0]
            self._made = trial.number, self._make(int(drawn))
        return self._made[1]


def make_sampler(name: str, num_trials: int, seed: int, first: Mapping[str, Any]) -> BaseSampler:
    """The sampler ``tpe`` (arXiv 1012.2599 and its successors), ``cmaes``, ``nsga2`` or ``random``."""
    num_random = max(_FEWEST_RANDOM_TRIALS, min(_MOST_RANDOM_TRIALS, num_trials // 3))
    makers: dict[str, Callable[[int], BaseSampler]] = {
        "tpe": lambda drawn: TPESampler(n_startup_trials=num_random, seed=drawn, constant_liar=True),
        "cmaes": lambda drawn: CmaEsSampler(seed=drawn, warn_independent_sampling=False),
        "nsga2": lambda drawn: NSGAIISampler(population_size=num_random, seed=drawn),
        "random": lambda drawn: RandomSampler(seed=drawn),
    }
    return ByNumber(makers[name], seed, first)


def make_pruner(name: str, num_trials: int, num_marks: int) -> BasePruner:
    """The pruner ``none``, ``median`` or ``hyperband`` (arXiv 1603.06560).

    Args:
        name: one of them.
        num_trials: of the study: the median is asked for once a quarter of them, 2 to 5, have ended.
        num_marks: times that a trial's validation loss is looked at.
    """
    if name == "median":
        return MedianPruner(n_startup_trials=max(2, min(5, num_trials // 4)))
    return NopPruner() if name == "none" else HyperbandPruner(max_resource=max(2, num_marks))


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False
