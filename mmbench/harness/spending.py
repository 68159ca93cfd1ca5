"""The Lightning callback that spends a budget: schedule, ledger, log, validation, checkpoints, and the stop."""

import json
import math
import os
import resource
import time
from dataclasses import asdict
from typing import Any

import lightning
import torch
from torch import Tensor

from mmbench.config.budget import Budget
from mmbench.config.training import TrainingSettings
from mmbench.data.batch import Batch
from mmbench.families.trainee import Trainee
from mmbench.harness.failures import check_finite
from mmbench.harness.flops import count_step_flops
from mmbench.harness.meter import Meter
from mmbench.harness.run_files import CellFiles, write_json
from mmbench.harness.schedule import schedule_factor

_PROGRESS_EVERY_S = 0.5


class SpendBudget(lightning.Callback):
    """Runs one stage of a cell from the fraction ``start`` of the budget to ``end``."""

    def __init__(
        self,
        meter: Meter,
        budget: Budget,
        recipe: TrainingSettings,
        files: CellFiles,
        *,
        stage: int,
        start: float,
        end: float,
        seed: int,
    ) -> None:
        self.meter, self.budget, self.recipe, self.files = meter, budget, recipe, files
        self.stage, self.start, self.end, self.seed = stage, start, end, seed
        self.stage_finished = False
        self.flops_of_shape: dict[str, float] = {}
        self.step_flops = 0.0
        self.step_losses: dict[str, Tensor] = {}
        self.batch: Batch | None = None
        self.batch_began_s = self.waited_since_s = self.working_s = self.waiting_s = 0.0
        self.next_checkpoint = self.next_validation = 0.0
        self.progress_at_s = 0.0
        self.logged_until: dict[bool, int] = {}

    @property
    def state_key(self) -> str:
        """Where a checkpoint keeps this callback's state."""
        return type(self).__qualname__

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on as if never interrupted."""
        return {
            "meter": asdict(self.meter),
            "stage": self.stage,
            "stage_finished": self.stage_finished,
            "flops_of_shape": self.flops_of_shape,
            "next_checkpoint": self.next_checkpoint,
            "next_validation": self.next_validation,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the state; the meter was taken up before, by the caller."""
        self.flops_of_shape = dict(state_dict["flops_of_shape"])
        self.next_checkpoint = state_dict["next_checkpoint"]
        self.next_validation = state_dict["next_validation"]

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Count the batches that were done in micro-batches of the present size, which may have become smaller.

        Lightning steps the optimiser when its count of batches is a multiple of those of a step.
        """
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        done = checkpoint["global_step"] * trainer.accumulate_grad_batches
        for counts in (progress["total"], progress["current"]):
            shift = done - counts["ready"]
            for name in ("ready", "started", "processed", "completed"):
                counts[name] += shift

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Set the marks of the stage and find where the log ends."""
        fraction = self.meter.fraction(self.budget)
        self.next_checkpoint = self.next_checkpoint or fraction + self.recipe.checkpoint_share
        self.next_validation = self.next_validation or fraction + self.recipe.validation_share
        self.logged_until = _last_logged_steps(self.files)
        self.waited_since_s = self._now()

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Set the learning rate of the step, and count what its micro-batch costs."""
        assert isinstance(pl_module, Trainee)
        waited_s = self._now() - self.waited_since_s
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self.working_s = self.waiting_s = 0.0
            self.step_flops, self.step_losses = 0.0, {}
            factor = schedule_factor(self._stage_fraction(), self.recipe.warmup_share, self.recipe.end_factor)
            for group in trainer.optimizers[0].param_groups:
                group["lr"] = self.recipe.learning_rate * factor * group["factor"]
        self.waiting_s += waited_s
        self.batch = batch
        # Pictures of their own sizes cost by their area; attention within one of a batch makes little of the whole.
        area = int(batch.sizes.prod(dim=1).sum())
        shape = f"{self.stage}:{tuple(batch.images.shape)}:{area}:{tuple(batch.token_ids.shape)}"
        if shape not in self.flops_of_shape:
            self.flops_of_shape[shape] = count_step_flops(pl_module, batch)
        self.step_flops += self.flops_of_shape[shape]
        # Anything random in a module is then a function of (seed, step), the same after a resume; and what is drawn by
        # a row's text is the same whichever of the step's micro-batches the row falls to.
        torch.manual_seed(hash((self.seed, self.meter.steps)) % 2**63)
        self.batch_began_s = self._now()

    def on_before_backward(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, loss: Tensor
    ) -> None:
        """Refuse a loss that is no number, before it reaches the weights: the module that made it can then be named.

        An accelerator would have to wait for each look at the number, so there it is looked at in logged steps alone.
        """
        assert isinstance(pl_module, Trainee)
        assert self.batch is not None
        if loss.device.type == "cpu" or (self.meter.steps + 1) % self.recipe.log_every == 0:
            with trainer.precision_plugin.forward_context():
                check_finite(pl_module, loss, self.batch)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count the step; log, validate and save where a mark is passed; stop where the stage's share is spent."""
        assert isinstance(pl_module, Trainee)
        for name, value in outputs.items():
            if name != "loss":
                self.step_losses[name] = self.step_losses.get(name, torch.zeros_like(value)) + value
        self.waited_since_s = self._now()
        self.working_s += self.waited_since_s - self.batch_began_s
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        before = self.meter.spent(self.budget.unit)
        self.meter.add_step(batch.totals, *self._over_processes(trainer))
        cost = self.meter.spent(self.budget.unit) - before
        if self.meter.steps % self.recipe.log_every == 0:
            self._log_step(trainer, pl_module)
        finished = self.meter.has_reached(self.end, self.budget, cost)
        self._pass_marks(trainer, pl_module, finished)
        self._write_progress(finished)
        if finished:
            trainer.should_stop = True
        self.waited_since_s = self._now()

    def _over_processes(self, trainer: lightning.Trainer) -> tuple[float, float, float]:
        """The step's operations, seconds of work and of waiting, the same on all processes, so that all stop as one."""
        num = trainer.world_size
        if num == 1:
            return self.step_flops, self.working_s, self.waiting_s
        shares = [self.step_flops, self.working_s / num, self.waiting_s / num]
        summed = _summed(trainer, torch.tensor(shares, dtype=torch.float64, device=trainer.strategy.root_device))
        flops, working_s, waiting_s = summed.tolist()
        return flops, working_s, waiting_s

    def _pass_marks(self, trainer: lightning.Trainer, trainee: Trainee, finished: bool) -> None:
        """Validate and save where a share of the budget was passed, and at the end of the stage."""
        began_s = time.monotonic()
        fraction = self.meter.fraction(self.budget)
        if finished or fraction >= self.next_validation:
            self.next_validation = fraction + self.recipe.validation_share
            self._validate(trainer, trainee)
        if finished or fraction >= self.next_checkpoint:
            self.next_checkpoint = fraction + self.recipe.checkpoint_share
            self.stage_finished = finished
            self.meter.peak_memory_bytes = max(self.meter.peak_memory_bytes, peak_memory_bytes())
            self.meter.validation_s += time.monotonic() - began_s
            self._save(trainer)
        else:
            self.meter.validation_s += time.monotonic() - began_s

    def _save(self, trainer: lightning.Trainer) -> None:
        part = self.files.checkpoint.with_suffix(".part")
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            os.replace(part, self.files.checkpoint)

    @torch.no_grad()
    def _validate(self, trainer: lightning.Trainer, trainee: Trainee) -> None:
        sums: dict[str, float] = {}
        trainee.eval()
        batches = list(trainer.datamodule.validation_batches())  # type: ignore[attr-defined]
        for batch in batches:
            on_device = batch.to(trainee.device)
            with trainer.precision_plugin.forward_context():
                losses = trainee.loss(on_device)
                total = trainee.total(losses, batch.totals)
            for name, value in {"": total, **losses.means(batch.totals)}.items():
                sums[name] = sums.get(name, 0.0) + float(value)
        trainee.train()
        if not batches:
            return
        named = {f"validation_{name}_loss" if name else "validation_loss": v / len(batches) for name, v in sums.items()}
        self._append(trainer, named)

    def _log_step(self, trainer: lightning.Trainer, trainee: Trainee) -> None:
        losses = {name: float(_summed(trainer, value)) for name, value in self.step_losses.items()}
        weights = trainee.objective_weights
        total = sum(weights.get(name.removesuffix("_loss"), 1.0) * value for name, value in losses.items())
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self._append(
            trainer,
            {
                "loss": total,
                **losses,
                "learning_rate": rate,
                "samples_per_s": self.meter.samples / max(1e-9, self.meter.device_s + self.meter.waiting_s),
            },
        )

    def _append(self, trainer: lightning.Trainer, values: dict[str, float]) -> None:
        """Add a line to ``log.jsonl``, unless an earlier, interrupted run has written that step already."""
        of_validation = "validation_loss" in values
        if self.meter.steps <= self.logged_until.get(of_validation, 0) or not trainer.is_global_zero:
            return
        line = {
            "step": self.meter.steps,
            "fraction": round(self.meter.fraction(self.budget), 6),
            "samples": self.meter.samples,
            "time_s": round(self.meter.device_s + self.meter.waiting_s, 3),
            **{name: float(f"{value:.6g}") if math.isfinite(value) else None for name, value in values.items()},
        }
        with self.files.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _write_progress(self, finished: bool) -> None:
        now_s = time.monotonic()
        if not finished and now_s - self.progress_at_s < _PROGRESS_EVERY_S:
            return
        self.progress_at_s = now_s
        fraction = min(1.0, self.meter.fraction(self.budget))
        working_s = self.meter.device_s + self.meter.waiting_s + self.meter.validation_s
        write_json(
            self.files.progress,
            {
                "phase": "training",
                "fraction": round(fraction, 4),
                "samples_per_s": round(self.meter.samples / max(1e-9, working_s), 1),
                "remaining_s": round(working_s * (1 - fraction) / max(1e-9, fraction), 1),
            },
        )

    def _stage_fraction(self) -> float:
        return (self.meter.fraction(self.budget) - self.start) / (self.end - self.start)

    def _now(self) -> float:
        """The clock, with the accelerator's queue run empty where seconds are what is spent."""
        if self.budget.unit == "s" and torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.monotonic()


def _summed(trainer: lightning.Trainer, values: Tensor) -> Tensor:
    """The sum over all processes."""
    summed: Tensor = trainer.strategy.reduce(values.clone(), reduce_op="sum")
    return summed


def peak_memory_bytes() -> int:
    """Most memory this process has held: of the accelerator if it used one, else resident memory."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _last_logged_steps(files: CellFiles) -> dict[bool, int]:
    """The last step of the log's training (False) and validation (True) lines; half a line left by a kill is cut."""
    if not files.log.exists():
        return {}
    content = files.log.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(files.log, len(whole))
    lines = [json.loads(line) for line in whole.splitlines()]
    return {"validation_loss" in line: int(line["step"]) for line in lines}
