"""Running a module outside a Trainer in the precision it was trained in, and on the same kind of device."""

import contextlib

import lightning
import torch

from mmbench.config.training import TrainerSettings
from mmbench.harness.quiet import quiet_lightning

_AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def inference(settings: TrainerSettings, device: torch.device) -> contextlib.ExitStack:
    """No gradients, and autocast where the precision is a mixed one; a context manager."""
    stack = contextlib.ExitStack()
    stack.enter_context(torch.inference_mode())
    if settings.precision in _AUTOCAST:
        stack.enter_context(torch.autocast(device.type, _AUTOCAST[settings.precision]))
    return stack


def device_of(settings: TrainerSettings) -> torch.device:
    """The device that Lightning's accelerator setting means in this process."""
    quiet_lightning()
    trainer = lightning.Trainer(
        accelerator=settings.accelerator, devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    return trainer.strategy.root_device
