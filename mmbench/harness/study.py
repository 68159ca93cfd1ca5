"""One system's study in Optuna: which trials there are, what the next one is, and whether one falls behind.

The study runs in the parent; several parents, on several machines, may share it through its storage. A trial belongs
to the parent that began it and is continued by that parent's run; one whose parent is not heard of any more is tried
again by whoever comes first.
"""

import contextlib
import inspect
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from mmbench.config.errors import UserError
from mmbench.config.space import Space
from mmbench.config.tuning import TuningSettings
from mmbench.harness.objective import directions
from mmbench.harness.samplers import make_pruner, make_sampler
from mmbench.harness.tracking.uri import without_password

HEARTBEAT_S = 20
"""A parent says so often that its trials are alive."""
_GRACE_S = 120
_TRIES, _PAUSE_S = 20, 0.25
_T = TypeVar("_T")
_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass
class Asked:
    """A trial that is to be run here."""

    number: int
    """Its number in the study."""
    values: dict[str, Any]
    """By dotted key of the settings."""


class Study:
    """The study of one system.

    Args:
        storage: from `open_storage`.
        name: the study's name in the storage; it is made where it is missing.
        space: what the system has of the search space, keys written out.
        first: the recipe's own values.
        tuning: sampler, pruner, number of trials.
        num_marks: times that a trial's validation loss is looked at.
        owner: this parent's run, by which its trials are known.
        exclusive: whether no other parent can use the storage.
    """

    def __init__(
        self,
        storage: RDBStorage,
        name: str,
        space: Space,
        first: Mapping[str, Any],
        tuning: TuningSettings,
        *,
        num_marks: int,
        owner: str,
        exclusive: bool,
    ) -> None:
        self.name, self.space, self.tuning = name, space, tuning
        self.owner, self.exclusive = owner, exclusive
        self._storage = storage
        self.directions = directions(tuning)
        sampler = make_sampler(tuning.sampler, tuning.trials, tuning.sampler_seed, first)
        pruner = make_pruner(tuning.pruner, tuning.trials, num_marks)
        self._study = _patiently(
            lambda: optuna.create_study(
                storage=storage,
                study_name=name,
                directions=self.directions,
                sampler=sampler,
                pruner=pruner,
                load_if_exists=True,
            )
        )

    def trials(self) -> list[FrozenTrial]:
        """All trials but those that were withdrawn before they did anything."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if "withdrawn" not in trial.user_attrs]

    def counted(self) -> list[FrozenTrial]:
        """The trials that the number asked for counts: not those that were tried again under another number."""
        trials = self.trials()
        again = {trial.user_attrs.get("retry_of") for trial in trials}
        return [trial for trial in trials if trial.number not in again]

    def state(self, trial: FrozenTrial) -> str:
        """``complete``, ``pruned``, ``failed``, ``running`` or ``waiting``."""
        return _STATES[trial.state]

    def ask(self) -> Asked | None:
        """Begin another trial; None where all have been begun."""
        begun = [trial for trial in self.counted() if trial.state != TrialState.WAITING]
        if len(begun) >= self.tuning.trials:
            return None
        trial = self._study.ask()
        self._storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr("owner", self.owner)
        if sum(other.number < trial.number for other in self.counted()) >= self.tuning.trials:
            # Another process has begun the last one in the same moment.
            trial.set_user_attr("withdrawn", True)
            self._study.tell(trial, state=TrialState.FAIL)
            return None
        return Asked(trial.number, {key: _suggest(trial, key, entry) for key, entry in self.space.items()})

    def under_way(self) -> bool:
        """Whether a trial is being run, or another is to be begun."""
        states = [trial.state for trial in self.counted()]
        # One that waits beyond the number asked for stays where it is: `ask` does not begin it.
        return TrialState.RUNNING in states or len(states) - states.count(TrialState.WAITING) < self.tuning.trials

    def mine(self) -> list[Asked]:
        """Trials that this parent's run had begun when it was interrupted; what others left behind is tried again."""
        found = []
        for trial in self.trials():
            if trial.state != TrialState.RUNNING:
                continue
            if trial.user_attrs.get("owner") == self.owner and set(trial.params) == set(self.space):
                self._storage.record_heartbeat(trial._trial_id)
                found.append(Asked(trial.number, dict(trial.params)))
            elif self.exclusive or self._never_began(trial):
                self._lose(trial)
        return found

    def take_over(self) -> None:
        """Have trials of parents that are not heard of any more tried again."""
        optuna.storages.fail_stale_trials(self._study)
        for trial in self.trials():
            if trial.state == TrialState.RUNNING and self._never_began(trial):
                self._lose(trial)

    def beat(self, number: int) -> None:
        """Say that a trial is alive."""
        self._storage.record_heartbeat(self._id(number))

    def falls_behind(self, number: int, mark: int, loss: float | None) -> bool:
        """Note the validation loss of a trial after the ``mark``-th share of its budget; whether it should end."""
        trial = self._storage.get_trial(self._id(number))
        if loss is None or trial.state.is_finished():
            return False
        if mark not in trial.intermediate_values:
            # In the objective's direction: what is compared is only who is ahead.
            signed = loss if self.directions[0] == "minimize" else -loss
            self._storage.set_trial_intermediate_value(trial._trial_id, mark, signed)
        return bool(self._study.pruner.prune(self._study, self._storage.get_trial(trial._trial_id)))

    def tell(self, number: int, status: str, values: list[float] | None, spent: Any, reason: str | None) -> None:
        """Note how a trial ended (``done``, ``pruned`` or ``failed``), what it cost, and why it failed."""
        trial = self._storage.get_trial(self._id(number))
        if trial.state.is_finished():
            return
        self._storage.set_trial_user_attr(trial._trial_id, "spent", spent)
        if status == "done":
            self._study.tell(number, values)
            return
        self._storage.set_trial_user_attr(trial._trial_id, "reason", reason)
        self._study.tell(number, state=TrialState.PRUNED if status == "pruned" else TrialState.FAIL)
        attempt = int(trial.user_attrs.get("attempt", 0))
        if status == "failed" and attempt < self.tuning.retries:
            _enqueue_again(self._study, trial, attempt + 1)

    def best(self) -> FrozenTrial | None:
        """The finished trial with the best metric, the first of equals; None if none has finished."""
        finished = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        sign = 1 if self.directions[0] == "minimize" else -1
        return min(finished, key=lambda trial: (sign * trial.values[0], *trial.values[1:], trial.number), default=None)

    def front(self) -> list[FrozenTrial]:
        """Where cost counts: the finished trials that no other beats in both; else the best alone."""
        if len(self.directions) > 1:
            return sorted(self._study.best_trials, key=lambda trial: trial.values[1])
        best = self.best()
        return [] if best is None else [best]

    def _never_began(self, trial: FrozenTrial) -> bool:
        """Whether its process ended in the moment between making it and saying whose it is."""
        began = trial.datetime_start
        old = began is not None and datetime.now() - began > timedelta(seconds=_GRACE_S)
        return "owner" not in trial.user_attrs and old

    def _lose(self, trial: FrozenTrial) -> None:
        self._storage.set_trial_user_attr(trial._trial_id, "reason", _INTERRUPTED)
        self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        _enqueue_again(self._study, trial, int(trial.user_attrs.get("attempt", 0)))

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)


_INTERRUPTED = "its process was interrupted and is not heard of any more"


def open_storage(url: str, grace_s: int = _GRACE_S) -> RDBStorage:
    """An Optuna storage by its URL; two processes may make its tables at the same moment.

    Args:
        url: as SQLAlchemy reads it: ``sqlite:///study.db``, ``postgresql://…``, ``mysql+pymysql://…``.
        grace_s: after so long without a heartbeat a trial is tried again.

    Raises:
        UserError: the URL is malformed, its driver is missing, the database does not answer, or its tables are those
            of another version of Optuna.
    """
    quiet_optuna()
    # Optuna 5 renamed the argument.
    known = inspect.signature(RDBStorage.__init__).parameters
    name = "heartbeat_stale_trial_callback" if "heartbeat_stale_trial_callback" in known else "failed_trial_callback"
    retry: dict[str, Any] = {
        name: lambda study, trial: _enqueue_again(study, trial, trial.user_attrs.get("attempt", 0))
    }
    wait = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    shown = without_password(url)
    try:
        return _patiently(
            lambda: RDBStorage(url, engine_kwargs=wait, heartbeat_interval=HEARTBEAT_S, grace_period=grace_s, **retry)
        )
    except (sqlalchemy.exc.ArgumentError, sqlalchemy.exc.NoSuchModuleError, ValueError) as error:
        raise UserError(
            f"the storage '{shown}' is not understood ({_line(error)}): write it as in sqlite:///study.db"
        ) from None
    except ImportError as error:
        raise UserError(f"the storage '{shown}' needs a package that is not installed: {_line(error)}") from None
    except RuntimeError as error:  # so Optuna says that another version has made the tables
        raise UserError(f"the storage '{shown}' cannot be used: {_line(error)}") from None
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise UserError(f"the storage '{shown}' does not answer: {_line(error)}") from None


@contextlib.contextmanager
def answering(storage: RDBStorage) -> Iterator[None]:
    """What is done with a storage that may go away meanwhile.

    Raises:
        UserError: it has.
    """
    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        shown = without_password(storage.url)
        raise UserError(
            f"the storage '{shown}' does not answer any more ({_line(error)}): the same command continues"
        ) from None


def quiet_optuna() -> None:
    """Keep Optuna from writing on the terminal; the display says what there is to say."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"optuna(\.|$)")
    for kind in (optuna.exceptions.ExperimentalWarning, FutureWarning, UserWarning):
        warnings.filterwarnings("ignore", message=r".*(heartbeat|Heartbeat|constant_liar|Argument ``)", category=kind)


def _suggest(trial: Trial, key: str, entry: dict[str, Any]) -> Any:
    if entry["kind"] == "categorical":
        return trial.suggest_categorical(key, entry["choices"])
    log = entry.get("log", False)
    if entry["kind"] == "int":
        return trial.suggest_int(key, entry["low"], entry["high"], step=entry.get("step", 1), log=log)
    return trial.suggest_float(key, entry["low"], entry["high"], log=log)


def _enqueue_again(study: optuna.Study, trial: FrozenTrial, attempt: int) -> None:
    study.add_trial(
        create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={"retry_of": trial.number, "attempt": attempt},
        )
    )


def _patiently(work: Callable[[], _T]) -> _T:
    """Do what fails while another process makes the same tables."""
    for _ in range(_TRIES):
        try:
            return work()
        except (sqlalchemy.exc.OperationalError, sqlalchemy.exc.IntegrityError, optuna.exceptions.StorageInternalError):
            time.sleep(_PAUSE_S)
    return work()


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
