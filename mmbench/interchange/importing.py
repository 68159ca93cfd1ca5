"""Importing a whole checkpoint: into a folder with a system's YAML, its weights and its tokenizer."""

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from mmbench.config.errors import UserError
from mmbench.config.model import EncoderSettings, SystemSettings
from mmbench.config.yaml_text import to_yaml
from mmbench.interchange.foreign import Foreign, build_foreign, read_foreign
from mmbench.interchange.tensors import move_in
from mmbench.nn.checkpoint_files import CONFIG, read_config_file, read_tensors
from mmbench.nn.decoder_file import write_decoder_config

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

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
_ALSO = ("preprocessor_config.json", "processor_config.json", "generation_config.json", "chat_template.json")


def import_checkpoint(source: Path, target: Path) -> Foreign:
    """Write the folder ``target`` from the checkpoint folder ``source``; whole or not at all.

    Raises:
        UserError: the checkpoint cannot be read or is of no kind that is known, or ``target`` is there already.
    """
    if target.exists():
        raise UserError(f"'{target}' is there already: give another --to, or remove it")
    content = read_config_file(source)
    foreign = read_foreign(content)
    family = build_foreign(foreign)
    moved = move_in(read_tensors(source), foreign, family)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as made:
        folder = Path(made) / "imported"
        folder.mkdir()
        save_file({name: tensor.contiguous() for name, tensor in moved.state.items()}, folder / WEIGHTS)
        save_file({name: tensor.contiguous() for name, tensor in moved.kept.items()}, folder / KEPT)
        write_decoder_config(foreign.decoder, folder / DECODER)
        for name in (CONFIG, *_TOKENIZER, *_ALSO):
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        (folder / SYSTEM).write_text(_system_yaml(foreign), encoding="utf-8")
        (folder / SCALE).write_text(_scale_yaml(foreign, folder, target), encoding="utf-8")
        folder.rename(target)
    return foreign


def _system_yaml(foreign: Foreign) -> str:
    head = (
        "# An imported checkpoint, which is scored as it is. To fine-tune it, give stages, for instance\n"
        "# stages: [{share: 1.0, train: [connector, language_model]}]\n"
    )
    tree: dict[str, Any] = {
        **_differing(foreign.system, SystemSettings()),
        "encoder": _differing(foreign.encoder, EncoderSettings()),
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
    if (folder / _TOKENIZER[0]).is_file():
        tree["tokenizer"] = {"path": str((target / _TOKENIZER[0]).resolve())}
    tree["encoder"] = {"weights": "random"}
    tree["language_model"] = {"weights": "random"}
    return head + to_yaml(tree)


def _differing(settings: Any, usual: Any) -> dict[str, Any]:
    """The fields that are not what they usually are."""
    values, defaults = asdict(settings), asdict(usual)
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return {name: plain[name] for name in values if values[name] != defaults[name]}
