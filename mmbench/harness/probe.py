"""A short measurement: which attention kernel and precision train fastest here, and how many rows fit."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mmbench.config.settings import Settings
from mmbench.data.batch import Batch
from mmbench.families.family import Family
from mmbench.families.trainee import Trainee
from mmbench.harness.micro_batch import with_rows_that_fit
from mmbench.harness.opened import open_run
from mmbench.harness.precision import device_of
from mmbench.harness.run_files import write_json
from mmbench.harness.starting_point import assemble, untrained
from mmbench.nn.attention import set_attention_kernel

_SECONDS = 1.0
"""At most so long a candidate."""
_MOST_STEPS = 5
_GAIN = 0.95
"""A candidate must take less than this share of the simplest one's time to be chosen over it."""


def probe(root: Path) -> None:
    """Decide what is ``auto`` in the settings of the run at ``root``, once, for all its systems, and write it down."""
    opened = open_run(root)
    families = {
        name: assemble(system, untrained(opened.settings), opened.datamodule, opened.files.runs_dir)
        for name, system in opened.settings.systems.items()
    }
    write_json(opened.files.probe, decide(opened.settings, families, opened.datamodule.train_batch))


def decide(
    settings: Settings, families: dict[str, Family], train_batch: Callable[[int, int, int], Batch]
) -> dict[str, Any]:
    """What the settings leave to be measured: threads, micro-batch, attention kernel and precision.

    Args:
        settings: of the comparison.
        families: all its systems; the first is left on the device.
        train_batch: (step, first row, number of rows) -> the batch.
    """
    device = device_of(settings.trainer)
    threads = settings.trainer.threads or (1 if device.type == "cpu" else None)
    if threads:
        torch.set_num_threads(threads)
    rows = _rows_that_fit(families, train_batch, settings, device)
    batch = train_batch(0, 0, rows).to(device)
    first = next(iter(families.values())).to(device)
    timings = {}
    for attention in ["sdpa", "plain"] if settings.trainer.attention == "auto" else [settings.trainer.attention]:
        for precision in _precisions(settings, device):
            set_attention_kernel(attention)  # type: ignore[arg-type]
            timings[f"{attention} {precision}"] = time_step(first, batch, precision, device)
    simplest, fastest = next(iter(timings)), min(timings, key=lambda key: timings[key])
    chosen = fastest if timings[fastest] < _GAIN * timings[simplest] else simplest
    attention, precision = chosen.split(" ")
    return {
        "attention": attention,
        "precision": precision,
        "micro_batch_rows": rows,
        "threads": threads or torch.get_num_threads(),
        "device": _name(device),
        "device_type": device.type,
        "num_devices": torch.cuda.device_count() if device.type == "cuda" else 1,
        "timings_s": {key: round(value, 4) for key, value in timings.items()},
    }


def _precisions(settings: Settings, device: torch.device) -> list[str]:
    """What is tried: float32, and bfloat16 where the device computes in it."""
    if settings.trainer.precision != "auto":
        return [settings.trainer.precision]
    if device.type == "cuda":
        return ["32-true", "bf16-mixed"] if torch.cuda.is_bf16_supported() else ["32-true"]
    return ["32-true", "bf16-mixed"] if _has_bf16(device) else ["32-true"]


def _has_bf16(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 matrices itself; others emulate it, slowly."""
    if device.type != "cpu":
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", "bf16"))


def _rows_that_fit(families: dict[str, Family], train_batch: Any, settings: Settings, device: torch.device) -> int:
    """The largest micro-batch, by halving the global batch, that a step of every system fits into memory with.

    Raises:
        TaskFailedError: not even one contrastive group fits.
    """
    training = settings.training
    if settings.trainer.micro_batch_rows or device.type != "cuda":
        return settings.trainer.micro_batch_rows or training.batch_rows

    def try_all(rows: int) -> int:
        for family in families.values():
            try:
                family.to(device)
                _step(family, train_batch(0, 0, rows).to(device), settings.trainer.precision, device)
            finally:
                family.zero_grad(set_to_none=True)
                family.cpu()
        return rows

    return with_rows_that_fit(try_all, training.batch_rows, training)


def time_step(
    trainee: Trainee,
    batch: Batch,
    precision: str,
    device: torch.device,
    optimizer: torch.optim.Optimizer | None = None,
) -> float:
    """Median seconds of a training step over ``batch``, after one that is not counted.

    With an optimiser its step is part of it, and the weights change.
    """
    times: list[float] = []
    _step(trainee, batch, precision, device, optimizer)
    began_s = time.perf_counter()
    while len(times) < _MOST_STEPS and (not times or time.perf_counter() - began_s < _SECONDS):
        start_s = time.perf_counter()
        _step(trainee, batch, precision, device, optimizer)
        times.append(time.perf_counter() - start_s)
    return sorted(times)[len(times) // 2]


def _step(
    trainee: Trainee,
    batch: Batch,
    precision: str,
    device: torch.device,
    optimizer: torch.optim.Optimizer | None = None,
) -> None:
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed"):
        loss = trainee.total(trainee.loss(batch), batch.totals)
    torch.autograd.backward(loss)
    if optimizer is not None:
        optimizer.step()
    trainee.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({os.cpu_count()} cores)"
