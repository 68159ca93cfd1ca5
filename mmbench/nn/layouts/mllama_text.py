"""The text model of Llama 3.2 Vision: Llama's blocks, with those of the cross-attention counted among them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmbench.config.errors import UserError
from mmbench.nn.decoder import Decoder
from mmbench.nn.layouts.text_fields import (
    read_activation,
    read_rope,
    read_sizes,
    write_activation,
    write_rope,
    write_sizes,
)
from mmbench.nn.layouts.text_names import TextNames, decoder_names
from mmbench.nn.tensor_names import Joined

NUM_EXTRA = 8
"""Entries of the embedding beyond the vocabulary; the first of them is the image's token."""

DEFAULTS: dict[str, Any] = {
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 40,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38],
}
"""What a ``text_config`` leaves out means this."""


def names(
    config: Decoder.Config,
    prefix_ours: str = "",
    prefix_theirs: str = "model.language_model.",
    head: str = "lm_head.weight",
    *,
    cross_attention_layers: Sequence[int],
) -> Iterator[Joined]:
    """The table of names.

    Args:
        config: the decoder's.
        prefix_ours: as `decoder_names`.
        prefix_theirs: as `decoder_names`.
        head: as `decoder_names`.
        cross_attention_layers: which of the checkpoint's layers are cross-attention, and no block of the decoder.
    """
    layers = self_attention_layers(config.depth + len(cross_attention_layers), cross_attention_layers)
    return decoder_names(config, TextNames(), prefix_ours, prefix_theirs, head, layers)


def self_attention_layers(num_layers: int, cross_attention_layers: Sequence[int]) -> list[int]:
    """The checkpoint's layers that are blocks of the decoder, in order."""
    return [layer for layer in range(num_layers) if layer not in cross_attention_layers]


def read_config(content: Mapping[str, Any]) -> Decoder.Config:
    """The decoder's configuration in a ``text_config``; its blocks are the layers without cross-attention.

    Raises:
        UserError: it lacks a size, or asks for something that the decoder does not do.
    """
    if content.get("cross_attention_layers") is None:
        raise UserError("config.json lacks cross_attention_layers: give the folder of a whole checkpoint")
    sizes = read_sizes(content)
    sizes["depth"] = len(self_attention_layers(sizes["depth"], content["cross_attention_layers"]))
    return Decoder.Config(
        **sizes,
        **read_rope(content, theta=500000.0),
        activation=read_activation(content),
        extra_embeddings=NUM_EXTRA,
    )


def write_config(config: Decoder.Config, cross_attention_layers: Sequence[int]) -> dict[str, Any]:
    """The ``text_config`` of a model that has cross-attention as these of its layers."""
    content: dict[str, Any] = {"model_type": "mllama_text_model"}
    content |= write_sizes(config) | write_rope(config) | write_activation(config)
    content["num_hidden_layers"] = config.depth + len(cross_attention_layers)
    return content | {"cross_attention_layers": list(cross_attention_layers)}
