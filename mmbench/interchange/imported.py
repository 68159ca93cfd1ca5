"""An imported folder as the family that it holds."""

from pathlib import Path

from safetensors.torch import load_file

from mmbench.config.errors import UserError
from mmbench.families.family import Family
from mmbench.interchange.foreign import build_foreign
from mmbench.interchange.importing import WEIGHTS, read_folder


def open_imported(folder: Path, bos_id: int = 1, eos_id: int = 2, pad_id: int = 0) -> Family:
    """The family with its weights; the ids are those of its tokenizer.

    Raises:
        UserError: the folder was not written by an import.
    """
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"'{folder}' is no imported checkpoint: write one with mmbench import")
    family = build_foreign(read_folder(folder), bos_id, eos_id, pad_id)
    family.load_state_dict(load_file(folder / WEIGHTS))
    return family.eval()
