"""Timing work on a device whose queue runs ahead of the program."""

import time
from collections.abc import Callable

import torch


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of ``work``, with the device's queue run empty before and after."""
    wait(device)
    began_s = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - began_s


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
