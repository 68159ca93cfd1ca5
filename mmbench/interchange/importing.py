"""Importing a whole checkpoint: into a folder with a system's YAML, its weights and its tokenizer."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from mmbench.config.errors import UserError
from mmbench.config.model import EncoderSettings, SystemSettings
from mmbench.config.yaml_text import to_yaml
from mmbench.data.tokenizer import load_tokenizer
from mmbench.interchange.foreign import Foreign, build_foreign, read_foreign
from mmbench.interchange.preprocessing import check_normalisation
from mmbench.interchange.special_tokens import TOKENIZER, special_tokens
from mmbench.interchange.tensors import move_in
from mmbench.interchange.whole_folder import refuse_existing, whole_folder
from mmbench.nn.checkpoint_files import CONFIG, read_config_file, read_tensors
from mmbench.nn.decoder_file import write_decoder_config
from mmbench.nn.image_encoder import ImageEncoder

SYSTEM, SCALE, WEIGHTS, DECODER, KEPT = (
    "system.yaml",
    "scale.yaml",
    "system.safetensors",
    "decoder.json",
    "kept.safetensors",
)
"""The files of an imported folder: the system and the settings it needs around it, its weights, its language model's
configuration, and the checkpoint's tensors that the system does without."""

FILES = ("*.json", "*.jinja", "model*.safetensors")
"""What is fetched of a repository, as patterns."""

_TOKENIZER = (TOKENIZER, "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
_ALSO = ("preprocessor_config.json", "processor_config.json", "generation_config.json", "chat_template.json")


def import_checkpoint(source: Path, target: Path) -> Foreign:
    """Write the folder ``target`` from the checkpoint folder ``source``; whole or not at all.

    Raises:
        UserError: the checkpoint cannot be read or is of no kind that is known, or ``target`` is there already.
    """
    refuse_existing(target)
    foreign = read_folder(source)
    _check_tokenizer(source, foreign)
    family = build_foreign(foreign)
    encoder = getattr(family, "encoder", None)
    if isinstance(encoder, ImageEncoder):
        check_normalisation(source, encoder)
    moved = move_in(read_tensors(source), foreign, family)
    with whole_folder(target) as folder:
        save_file({name: tensor.contiguous() for name, tensor in moved.state.items()}, folder / WEIGHTS)
        save_file({name: tensor.contiguous() for name, tensor in moved.kept.items()}, folder / KEPT)
        write_decoder_config(foreign.decoder, folder / DECODER)
        for name in (CONFIG, *_TOKENIZER, *_ALSO):
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        (folder / SYSTEM).write_text(_system_yaml(foreign), encoding="utf-8")
        (folder / SCALE).write_text(_scale_yaml(foreign, folder, target), encoding="utf-8")
    return foreign


def read_folder(folder: Path) -> Foreign:
    """What the configuration and the tokenizer of a checkpoint's folder, or of an imported one, describe.

    Raises:
        UserError: no such model can be imported, or a file is malformed.
    """
    return read_foreign(read_config_file(folder), special_tokens(folder))


def _check_tokenizer(source: Path, foreign: Foreign) -> None:
    """See that a tokenizer, where there is one, is that of the checkpoint."""
    if not (source / TOKENIZER).is_file():
        return
    vocab_size = load_tokenizer(source / TOKENIZER).vocab_size
    size = foreign.decoder.vocab_size + foreign.decoder.extra_embeddings
    if vocab_size > size:
        raise UserError(
            f"'{source / TOKENIZER}' has {vocab_size} tokens, but the checkpoint's language model only {size}: they do "
            "not belong together; fetch the folder anew"
        )
    if foreign.image_token is not None and foreign.image_token not in special_tokens(source).values():
        raise UserError(
            f"'{source / TOKENIZER}' has no special token with the id {foreign.image_token}, which config.json says "
            "stands for the image: they do not belong together; fetch the folder anew"
        )


def _system_yaml(foreign: Foreign) -> str:
    head = (
        "# An imported checkpoint, which is scored as it is. To fine-tune it, give stages, for instance\n"
        "# stages: [{share: 1.0, train: [connector, language_model]}]\n"
    )
    tree: dict[str, Any] = {
        **_differing(foreign.system, SystemSettings()),
        "encoder": _plain(foreign.encoder),  # whole, so that nothing of a scale's encoder stays under it
        "language_model": {"weights": "random", "config": f"./{DECODER}"},
        "weights": f"./{WEIGHTS}",
        "stages": [],
    }
    return head + to_yaml(tree)


def _scale_yaml(foreign: Foreign, folder: Path, target: Path) -> str:
    head = (
        "# What the system beside this file needs of a comparison: mmbench compare SYSTEM --scale SCALE --data DATA.\n"
        "# There is no blind baseline, since the language model without its image is not what was published.\n"
    )
    tree: dict[str, Any] = {"image_size": foreign.image_size, "baselines": ["chance", "majority"]}
    if (folder / TOKENIZER).is_file():
        tree["tokenizer"] = {"path": str((target / TOKENIZER).resolve())}
    if foreign.data:
        tree["data"] = foreign.data
    tree["encoder"] = {"weights": "random"}
    tree["language_model"] = {"weights": "random"}
    return head + to_yaml(tree)


def _differing(settings: SystemSettings, usual: SystemSettings) -> dict[str, Any]:
    """The fields that are not what they usually are."""
    values, defaults = _plain(settings), _plain(usual)
    return {name: value for name, value in values.items() if value != defaults[name]}


def _plain(settings: SystemSettings | EncoderSettings) -> dict[str, Any]:
    """As a file has it: lists in the place of tuples."""
    tree: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return tree
