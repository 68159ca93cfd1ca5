"""Versions and hardware, as the report states them; reads no library that it does not need to."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmbench import __version__

PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "timm",
    "open-clip-torch",
    "tokenizers",
    "numpy",
    "scipy",
    "pandas",
    "mlflow",
    "optuna",
)
"""What the numbers may depend on."""


def describe_environment() -> dict[str, Any]:
    """Python, platform, processor and versions; the accelerator is in the probe's record."""
    return {
        "mmbench": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _processor(),
        "num_cores": os.cpu_count(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
