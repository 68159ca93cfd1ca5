"""A foreign checkpoint, understood: the system that it is, and where each of that system's tensors lies in it."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from mmbench.config.errors import UserError
from mmbench.config.model import EncoderSettings, SystemSettings
from mmbench.families.family import Family, SharedParts
from mmbench.families.registry import build_family
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import build_encoder
from mmbench.nn.tensor_names import Joined

FORMATS = {
    "aria": "aria",
    "clip": "clip",
    "fuyu": "fuyu",
    "idefics": "idefics",
    "llava": "llava",
    "mllama": "mllama",
    "qwen2_vl": "qwen2_vl",
    "siglip": "siglip",
}
"""``model_type`` of ``config.json`` -> the file in `mmbench.interchange.formats` that reads it."""


@dataclass
class Foreign:
    """What a checkpoint's configuration says."""

    system: SystemSettings
    """Family, paper and options."""
    encoder: EncoderSettings
    """The image encoder."""
    decoder: Decoder.Config
    """The language model, or the text tower."""
    image_size: int
    """Side of the square that images are given in, in pixels."""
    names: list[Joined]
    """Where the tensors of the family lie. Those that the family does without (layers that nothing reads) are kept
    beside it, so that an export is whole."""
    ignored: tuple[str, ...] = field(default=())
    """Beginnings of the names of tensors that hold nothing learned."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other beginnings that names have, in files of other versions -> those of ``names``."""
    image_token: int | None = None
    """Id of the token that stands for the image in published prompts; the tokenizer must have it."""
    data: dict[str, Any] = field(default_factory=dict)
    """Settings of the data that pictures of the checkpoint's kind need."""


def read_foreign(content: Mapping[str, Any], tokens: Mapping[str, int]) -> Foreign:
    """What a ``config.json`` describes.

    Args:
        content: of the file.
        tokens: special tokens of the tokenizer beside it, see `special_tokens`.

    Raises:
        UserError: no such model can be imported, or it has something that the families do not.
    """
    kind = content.get("model_type")
    if kind not in FORMATS:
        raise UserError(
            f"config.json has model_type {kind!r}, which cannot be imported as a whole; can be: {', '.join(FORMATS)}. "
            "A language model alone needs no import: give its folder as language_model.weights"
        )
    if content.get("quantization_config"):
        raise UserError("config.json has quantised weights: import the checkpoint from which they were made")
    module = importlib.import_module(f"mmbench.interchange.formats.{FORMATS[kind]}")
    try:
        found: Foreign = module.read(dict(content), tokens)
    except ValueError as error:
        raise UserError(f"config.json cannot be imported: {error}") from error
    except KeyError as error:
        raise UserError(f"config.json lacks {error}: give the folder of a whole checkpoint") from error
    return found


def build_foreign(foreign: Foreign, bos_id: int = 1, eos_id: int = 2, pad_id: int = 0) -> Family:
    """The system with random weights.

    Args:
        foreign: what the checkpoint is.
        bos_id: id that begins every text.
        eos_id: id that ends one.
        pad_id: id of padding.

    Raises:
        UserError: the parts do not fit together.
    """
    torch.manual_seed(0)  # of the parts that the checkpoint does not have
    shared = SharedParts(
        encoder=build_encoder(foreign.encoder, foreign.image_size),
        decoder=Decoder(foreign.decoder),
        bos_id=bos_id,
        eos_id=eos_id,
        pad_id=pad_id,
        image_size=foreign.image_size,
    )
    return build_family(foreign.system, shared, {})
