"""What the sections of a whole model's configuration have in common."""

from collections.abc import Mapping
from typing import Any

from mmbench.nn.decoder import Decoder
from mmbench.nn.layouts import llama


def section(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One section of a ``config.json``.

    Raises:
        KeyError: there is none.
    """
    found: dict[str, Any] = dict(content[name])
    return found


def whole_patches(image_size: int, patch_size: int) -> int:
    """The side of the square that patches are cut from; a rest, as SigLIP's 384 pixels have, is never read there."""
    return image_size // patch_size * patch_size


def is_tied(content: Mapping[str, Any], text: Mapping[str, Any]) -> bool:
    """Whether the vocabulary projection is the embedding; newer files say so outside of the text's section."""
    return bool(content.get("tie_word_embeddings") or text.get("tie_word_embeddings"))


def read_decoder(content: Mapping[str, Any]) -> Decoder.Config:
    """The language model in the section ``text_config``, of a type that stands alone as well.

    Raises:
        KeyError, UserError: there is none, or it is of no known type.
    """
    text = section(content, "text_config")
    kind = text.get("model_type", "llama")
    whole = llama.DEFAULTS.get(kind, {}) | {"model_type": kind} | text
    return llama.read_config(whole | {"tie_word_embeddings": is_tied(content, text)})
