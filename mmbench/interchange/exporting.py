"""Writing an imported system back in the format it came in, trained further or as it was."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.interchange.importing import KEPT, WEIGHTS, read_folder
from mmbench.interchange.tensors import move_out
from mmbench.nn.checkpoint_files import CONFIG, read_config_file, write_checkpoint

_OURS = (".yaml", ".safetensors", "decoder.json")


def export_checkpoint(imported: Path, target: Path, state: Mapping[str, Tensor] | None = None) -> None:
    """Write a folder that transformers reads.

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
    if target.exists():
        raise UserError(f"'{target}' is there already: give another folder, or remove it")
    content = read_config_file(imported)
    foreign = read_folder(imported)
    weights = load_file(imported / WEIGHTS) if state is None else state
    write_checkpoint(target, content, move_out(weights, load_file(imported / KEPT), foreign))
    for path in imported.iterdir():
        if path.is_file() and path.name != CONFIG and not path.name.endswith(_OURS):
            shutil.copyfile(path, target / path.name)
