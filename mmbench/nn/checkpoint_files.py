"""The files of a checkpoint folder as Hugging Face lays them out: a configuration, and tensors in one or more files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmbench.config.errors import UserError

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
PATTERNS = (CONFIG, "model*.safetensors", INDEX)
"""The files of a checkpoint, as patterns; repositories hold the same weights in other forms besides."""


def read_config_file(folder: Path) -> dict[str, Any]:
    """The content of the folder's ``config.json``.

    Raises:
        UserError: it is missing or malformed.
    """
    path = folder / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"'{folder}' has no {CONFIG}: give the folder of a checkpoint") from None
    except ValueError as error:
        raise UserError(f"'{path}' is no JSON ({error}): fetch the folder anew") from error
    if not isinstance(content, dict):
        raise UserError(f"'{path}' is no JSON object: fetch the folder anew")
    return content


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of the folder, by name, in the type they are stored in.

    Raises:
        UserError: a file is missing or cannot be read.
    """
    files = [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            files = [folder / name for name in sorted(set(index["weight_map"].values()))]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"'{folder / INDEX}' is no index of shards ({error}): fetch the file anew") from error
    tensors: dict[str, Tensor] = {}
    for file in files:
        if not file.is_file():
            raise UserError(f"'{folder}' has no {file.name}: the weights must be {WEIGHTS} or shards with {INDEX}")
        try:
            with safe_open(file, framework="pt") as opened:
                tensors |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
        except Exception as error:
            # safetensors raises a class of its own, which it does not export under a stable name.
            raise UserError(f"'{file}' cannot be read ({error}): fetch the file anew") from error
    return tensors


def write_checkpoint(folder: Path, content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write ``config.json`` and ``model.safetensors``; the folder is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(whole, folder / WEIGHTS, metadata={"format": "pt"})
