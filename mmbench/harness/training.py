"""Training a trainee through its stages until the budget is spent, with Lightning, resumable at any moment."""

import contextlib
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import lightning
import torch

from mmbench.config.budget import Budget
from mmbench.config.model import StageSettings
from mmbench.config.training import TrainerSettings, TrainingSettings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.trainee import Trainee
from mmbench.harness.meter import Meter
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
    """
    _quiet_lightning()
    trainee.training_settings = recipe
    described = [_describe(trainee, stage) for stage in stages]
    state = _load_state(files.checkpoint)
    meter = Meter(**state["meter"]) if state else Meter()
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
        trainer = _make_trainer(trainer_settings, recipe, micro_rows, spending)
        trainee.micro_batches_per_step = trainer.accumulate_grad_batches * trainer.world_size
        datamodule.micro_batch_rows = micro_rows
        datamodule.start_micro_step = meter.steps * trainer.accumulate_grad_batches
        resumed = files.checkpoint if state and index == first and not state["stage_finished"] else None
        trainer.fit(trainee, datamodule=datamodule, ckpt_path=resumed)
    if trainer is not None:
        _save_weights(trainer, files)
    return meter, described


def restore(trainee: Trainee, weights: Path) -> None:
    """Load the weights that a finished training left."""
    trainee.load_state_dict(_load(weights)["state_dict"])


def _describe(trainee: Trainee, stage: StageSettings) -> dict[str, Any]:
    trained, frozen = trainee.freeze_all_but(stage.train)
    parameters = sum(p.numel() for p in trainee.parameters() if p.requires_grad)
    return {"share": stage.share, "trains": trained, "frozen": frozen, "parameters_trainable": parameters}


def _make_trainer(
    settings: TrainerSettings, recipe: TrainingSettings, micro_rows: int, spending: SpendBudget
) -> lightning.Trainer:
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
    trainer = lightning.Trainer(callbacks=[spending, *options.pop("callbacks", [])], **options)
    rows_at_once = micro_rows * trainer.world_size
    trainer.accumulate_grad_batches = max(1, recipe.batch_rows // rows_at_once)
    return trainer


def _load_state(checkpoint: Path) -> dict[str, Any] | None:
    if not checkpoint.exists():
        return None
    state: dict[str, Any] = _load(checkpoint)["callbacks"][SpendBudget.__qualname__]
    return state


def _load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def _save_weights(trainer: lightning.Trainer, files: CellFiles) -> None:
    part = files.weights.with_suffix(".part")
    trainer.save_checkpoint(part, weights_only=True)
    if trainer.is_global_zero:
        os.replace(part, files.weights)
        with contextlib.suppress(FileNotFoundError):
            files.checkpoint.unlink()


def _quiet_lightning() -> None:
    """Lightning's hints speak to people who train by hand; ours go to the log and the display."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec.*")
