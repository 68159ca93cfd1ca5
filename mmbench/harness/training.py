"""Training a trainee through its stages until the budget is spent, with Lightning, resumable at any moment."""

import contextlib
import os
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.strategies import DDPStrategy

from mmbench.config.budget import Budget
from mmbench.config.errors import UserError
from mmbench.config.model import StageSettings
from mmbench.config.training import TrainerSettings, TrainingSettings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.trainee import Trainee
from mmbench.harness.matching import trainable_parameters
from mmbench.harness.meter import Meter
from mmbench.harness.quiet import quiet_lightning
from mmbench.harness.run_files import CellFiles
from mmbench.harness.spending import SpendBudget


def train(
    trainee: Trainee,
    datamodule: MultimodalDataModule,
    files: CellFiles,
    *,
    budget: Budget,
    stages: list[StageSettings],
    recipe: TrainingSettings,
    trainer_settings: TrainerSettings,
    seed: int,
) -> tuple[Meter, list[dict[str, Any]]]:
    """Spend ``budget`` on ``trainee``, stage after stage, each with its own Lightning Trainer and optimiser.

    A stage is a Trainer of its own so that what is frozen is known to the strategy (DDP, FSDP) when it wraps the
    module. Continues from ``files.checkpoint`` where there is one; leaves the weights at ``files.weights``.

    Returns:
        What was spent, and for each stage its share and what trained and was frozen.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite.
        UserError: the rows of a step do not divide into micro-batches, or those not into contrastive groups.
    """
    quiet_lightning()
    files.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    trainee.training_settings = recipe
    described = [_describe(trainee, stage) for stage in stages]
    state = _load_state(files.checkpoint)
    meter = Meter(**state["meter"]) if state else Meter(rows_per_epoch=datamodule.num_train_images)
    first = state["stage"] + state["stage_finished"] if state else 0
    if state and state["stage_finished"]:
        trainee.load_state_dict(_load(files.checkpoint)["state_dict"])
    micro_rows = trainer_settings.micro_batch_rows or recipe.batch_rows
    trainer = None
    for index in range(first, len(stages)):
        stage = stages[index]
        trainee.freeze_all_but(stage.train)
        trainee.learning_rate_factor = stage.learning_rate_factor
        start = sum(s.share for s in stages[:index])
        spending = SpendBudget(
            meter, budget, recipe, files, stage=index, start=start, end=start + stage.share, seed=seed
        )
        trainer = _make_trainer(trainer_settings, recipe, spending)
        trainer.accumulate_grad_batches = _accumulation(trainee, recipe, micro_rows, trainer.world_size)
        trainee.micro_batches_per_step = trainer.accumulate_grad_batches * trainer.world_size
        datamodule.micro_batch_rows = micro_rows
        datamodule.start_micro_step = meter.steps * trainer.accumulate_grad_batches
        resumed = files.checkpoint if state and index == first and not state["stage_finished"] else None
        trainer.fit(trainee, datamodule=datamodule, ckpt_path=resumed)
    _save_weights(trainee, trainer, files)
    return meter, described


def restore(trainee: Trainee, weights: Path) -> None:
    """Load the weights that a finished training left."""
    trainee.load_state_dict(_load(weights)["state_dict"])


def _describe(trainee: Trainee, stage: StageSettings) -> dict[str, Any]:
    trained, frozen = trainee.freeze_all_but(stage.train)
    parameters = trainable_parameters(trainee, stage.train)
    return {"share": stage.share, "trains": trained, "frozen": frozen, "parameters_trainable": parameters}


def _make_trainer(settings: TrainerSettings, recipe: TrainingSettings, spending: SpendBudget) -> lightning.Trainer:
    options: dict[str, Any] = {
        "accelerator": settings.accelerator,
        "devices": settings.devices,
        "strategy": settings.strategy,
        "precision": settings.precision,
        "gradient_clip_val": recipe.gradient_clip,
        "max_epochs": -1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        **settings.extra,
    }
    options["callbacks"] = [spending, *options.get("callbacks", [])]
    trainer = lightning.Trainer(**options)
    if isinstance(trainer.strategy, DDPStrategy) and options["strategy"] in ("auto", "ddp"):
        # Without captions in a step's rows the retrieval heads get no gradient, which DDP must be told to expect.
        trainer = lightning.Trainer(**options | {"strategy": "ddp_find_unused_parameters_true"})
    return trainer


def _accumulation(trainee: Trainee, recipe: TrainingSettings, micro_rows: int, num_processes: int) -> int:
    """Micro-batches of one step on one process; whole contrastive groups each, or the loss would be another."""
    rows = recipe.batch_rows // num_processes
    micro_rows = min(micro_rows, rows)
    if rows % micro_rows:
        raise UserError(
            f"trainer.micro_batch_rows is {micro_rows}, which does not divide the {rows} rows that a process has of "
            f"the {recipe.batch_rows} of a step: give a divisor"
        )
    if trainee.objective_weights.get("contrastive", 0) > 0 and micro_rows % recipe.contrastive_group:
        raise UserError(
            f"{micro_rows} rows at once are no whole number of contrastive groups of {recipe.contrastive_group}: lower "
            "training.contrastive_group, or give more rows (trainer.micro_batch_rows, fewer trainer.devices)"
        )
    return rows // micro_rows


def _load_state(checkpoint: Path) -> dict[str, Any] | None:
    if not checkpoint.exists():
        return None
    state: dict[str, Any] = _load(checkpoint)["callbacks"][SpendBudget.__qualname__]
    return state


def _load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def _save_weights(trainee: Trainee, trainer: lightning.Trainer | None, files: CellFiles) -> None:
    part = files.weights.with_suffix(".part")
    if trainer is None:  # Interrupted after the last stage: there was nothing left to train.
        torch.save({"state_dict": trainee.state_dict()}, part)
    else:
        trainer.save_checkpoint(part, weights_only=True)
    if trainer is None or trainer.is_global_zero:
        os.replace(part, files.weights)
        with contextlib.suppress(FileNotFoundError):
            files.checkpoint.unlink()
