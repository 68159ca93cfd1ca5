"""The text model of Idefics, the open Flamingo: Llama, with the vocabulary in two pieces."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

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

DEFAULTS: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}
"""What a configuration leaves out means this."""


def names(
    config: Decoder.Config,
    prefix_ours: str = "",
    prefix_theirs: str = "model.",
    head: str = "lm_head.weight",
    additional_vocab_size: int = 0,
) -> Iterator[Joined]:
    """The table of names.

    Args:
        config: the decoder's.
        prefix_ours: as `decoder_names`.
        prefix_theirs: as `decoder_names`.
        head: as `decoder_names`.
        additional_vocab_size: how many of the vocabulary's last entries lie in tensors of their own.
    """
    table = decoder_names(config, TextNames(), prefix_ours, prefix_theirs, head)
    additional = {
        f"{prefix_ours}embedding.weight": f"{prefix_theirs}embed_tokens.additional_embedding.weight",
        f"{prefix_ours}head.weight": head.replace(".weight", ".additional_fc.weight"),
    }
    sizes = (config.vocab_size - additional_vocab_size, additional_vocab_size)
    for name in table:
        if additional_vocab_size and name.ours in additional:
            yield replace(name, theirs=(*name.theirs, additional[name.ours]), sizes=sizes)
        else:
            yield name


def read_config(content: Mapping[str, Any]) -> Decoder.Config:
    """The decoder's configuration in a ``config.json``; its vocabulary counts the additional entries.

    Raises:
        UserError: it lacks a size, or asks for something that the decoder does not do.
    """
    sizes = read_sizes(content)
    sizes["vocab_size"] += content.get("additional_vocab_size", 0)
    return Decoder.Config(**sizes, **read_rope(content), activation=read_activation(content))


def write_config(config: Decoder.Config, additional_vocab_size: int = 0) -> dict[str, Any]:
    """The text model's part of the ``config.json``."""
    content = write_sizes(config) | write_rope(config) | write_activation(config)
    content["vocab_size"] = config.vocab_size - additional_vocab_size
    return content | {"model_type": "idefics", "additional_vocab_size": additional_vocab_size}
