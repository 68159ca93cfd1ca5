"""The end of a trial that falls behind: its training waits at each mark for the parent's verdict, and obeys it."""

import time
from dataclasses import replace
from typing import Any

import lightning

from mmbench.config.settings import Settings
from mmbench.config.training import TrainerSettings
from mmbench.harness.objective import mark_of
from mmbench.harness.run_files import CellFiles, TrialFiles, read_json, write_json
from mmbench.harness.spending import SpendBudget

_LOOK_EVERY_S = 0.02


class TrialPrunedError(Exception):
    """The trial fell behind and was told to stop."""


class ObeyVerdicts(lightning.Callback):
    """Asks at each mark whether to go on; notes what was spent where the training does not come to its end.

    The parent reads the validation losses from the trial's log, and answers in its ``verdict.json``. Waiting for it
    makes the pruned trials depend on the losses alone, not on how fast who looks. Every process of a training on
    several devices reads the same answer.
    """

    def __init__(self, files: TrialFiles, validation_share: float, asks: bool) -> None:
        self._files, self._share, self._asks = files, validation_share, asks
        self._passed = 0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Wait for the verdict where a mark was passed.

        Raises:
            TrialPrunedError: the verdict is to stop.
        """
        spending = _spending(trainer)
        # Where the last validation stood: the next one is due a share later.
        mark = mark_of(spending.next_validation - self._share, self._share)
        if not self._asks or mark <= self._passed or spending.meter.fraction(spending.budget) >= 1:
            return
        while (verdict := read_verdict(self._files))["mark"] < mark:
            time.sleep(_LOOK_EVERY_S)
        if verdict["stop"]:
            raise TrialPrunedError
        self._passed = mark

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Note what was spent."""
        if trainer.is_global_zero:
            meter = _spending(trainer).meter
            spent = {"flops": meter.flops, "samples": meter.samples, "device_s": round(meter.device_s, 2)}
            write_json(self._files.spent, spent)


def watched(settings: Settings, files: CellFiles) -> TrainerSettings:
    """The trainer's settings; a trial's with its callback."""
    if not isinstance(files, TrialFiles):
        return settings.trainer
    obey = ObeyVerdicts(files, settings.training.validation_share, asks=settings.tuning.pruner != "none")
    extra = settings.trainer.extra
    return replace(settings.trainer, extra={**extra, "callbacks": [*extra.get("callbacks", []), obey]})


def read_verdict(files: TrialFiles) -> dict[str, Any]:
    """The last verdict; that of no mark where there is none."""
    try:
        verdict: dict[str, Any] = read_json(files.verdict)
    except FileNotFoundError:
        return {"mark": 0, "stop": False}
    return verdict


def _spending(trainer: lightning.Trainer) -> SpendBudget:
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return next(callback for callback in callbacks if isinstance(callback, SpendBudget))
