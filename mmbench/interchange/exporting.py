"""Writing an imported system back in the format it came in, trained further or as it was."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.families.family import Family
from mmbench.interchange.importing import KEPT, WEIGHTS, read_folder
from mmbench.interchange.tensors import move_out
from mmbench.interchange.whole_folder import refuse_existing, whole_folder
from mmbench.nn.checkpoint_files import CONFIG, read_config_file, write_checkpoint
from mmbench.nn.lora import Adapters, merge_lora

_OURS = (".yaml", ".safetensors", "decoder.json")


def export_checkpoint(imported: Path, target: Path, state: Mapping[str, Tensor] | None = None) -> None:
    """Write a folder that transformers reads, in the precision that the weights have; whole or not at all.

    Args:
        imported: the folder that an import wrote; its configuration, tokenizer and unread tensors go along.
        target: the folder to be written.
        state: weights of the family; those of ``imported`` if not given.

    Raises:
        UserError: ``imported`` is no such folder, or ``target`` is there already.
    """
    if not (imported / WEIGHTS).is_file() or not (imported / CONFIG).is_file():
        raise UserError(
            f"'{imported}' is no imported checkpoint: only what mmbench import has read can be written back"
        )
    refuse_existing(target)
    foreign = read_folder(imported)
    weights = load_file(imported / WEIGHTS) if state is None else state
    tensors = move_out(weights, load_file(imported / KEPT), foreign)
    content = read_config_file(imported)
    if state is not None:
        content = _of_precision(content, tensors.values())
    with whole_folder(target) as folder:
        write_checkpoint(folder, content, tensors)
        for path in imported.iterdir():
            if path.is_file() and path.name != CONFIG and not path.name.endswith(_OURS):
                shutil.copyfile(path, folder / path.name)


def merged_state(family: Family) -> dict[str, Tensor]:
    """The family's weights, with its low-rank adapters, if it has any, added to the matrices that they adapt."""
    adapters = getattr(family, "lora", None)
    if isinstance(adapters, Adapters):
        merge_lora(cast(Any, family).decoder, adapters)
    return {name: tensor for name, tensor in family.state_dict().items() if not name.startswith("lora.")}


def _of_precision(content: Any, tensors: Iterable[Tensor]) -> Any:
    """The configuration, saying the widest type that the tensors have, in which readers then load them all."""
    types = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
    widest = str(max(types, key=lambda kind: torch.finfo(kind).bits)).removeprefix("torch.")

    def restated(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            key: widest if key in ("dtype", "torch_dtype") and isinstance(item, str) else restated(item)
            for key, item in value.items()
        }

    return restated(content)
