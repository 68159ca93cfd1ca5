"""What a checkpoint's files say about the pixels that it expects."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmbench.config.errors import UserError
from mmbench.nn.image_encoder import ImageEncoder

IMAGE_PROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
"""Where they stand; newer folders have a section of the second file in the place of the first."""


def check_normalisation(folder: Path, encoder: ImageEncoder) -> None:
    """See that pixels are normalised as the checkpoint says, where it says so.

    Raises:
        UserError: they are not, or the file is malformed.
    """
    content = _read(folder)
    used = {
        "do_rescale": True,
        "do_normalize": True,
        "rescale_factor": 1 / 255,
        "image_mean": encoder.mean.flatten().tolist(),
        "image_std": encoder.std.flatten().tolist(),
    }
    for key, ours in used.items():
        theirs = content.get(key)
        if theirs is not None and not _same(theirs, ours):
            raise UserError(
                f"{IMAGE_PROCESSOR} has {key} {theirs}, but the encoder gets pixels with {key} {_rounded(ours)}, and "
                "would see other pictures than it was trained on: this checkpoint cannot be imported"
            )


def _read(folder: Path) -> Mapping[str, Any]:
    for name in (IMAGE_PROCESSOR, PROCESSOR):
        path = folder / name
        if not path.is_file():
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"'{path}' is no JSON ({error}): fetch the file anew") from error
        section = content.get("image_processor", {}) if name == PROCESSOR else content
        if isinstance(section, dict) and section:
            return section
    return {}


def _same(theirs: Any, ours: Any) -> bool:
    if isinstance(ours, bool):
        return bool(theirs) is ours
    if isinstance(ours, list) and not isinstance(theirs, list):
        theirs = [theirs] * len(ours)  # one number for all channels, as Fuyu's has it
    try:
        pairs = zip(theirs, ours, strict=True) if isinstance(theirs, list) else [(theirs, ours)]
        return all(abs(a - b) < 1e-4 for a, b in pairs)
    except (TypeError, ValueError):
        return False


def _rounded(ours: Any) -> Any:
    return [round(value, 4) for value in ours] if isinstance(ours, list) else round(ours, 6)
