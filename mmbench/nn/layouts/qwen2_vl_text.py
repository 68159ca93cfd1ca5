"""The text model of Qwen2-VL: Qwen2 with M-RoPE (arXiv 2409.12191)."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmbench.nn.decoder import Decoder
from mmbench.nn.layouts.text_fields import (
    read_activation,
    read_rope,
    read_sizes,
    refuse,
    write_activation,
    write_rope,
    write_sizes,
)
from mmbench.nn.layouts.text_names import TextNames, decoder_names
from mmbench.nn.tensor_names import Joined

DEFAULTS: dict[str, Any] = {
    "vocab_size": 152064,
    "hidden_size": 8192,
    "intermediate_size": 29568,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
}
"""What a configuration leaves out means this."""


def names(
    config: Decoder.Config,
    prefix_ours: str = "",
    prefix_theirs: str = "model.language_model.",
    head: str = "lm_head.weight",
) -> Iterator[Joined]:
    """The table of names; arguments as `decoder_names`."""
    return decoder_names(config, TextNames(), prefix_ours, prefix_theirs, head)


def read_config(content: Mapping[str, Any]) -> Decoder.Config:
    """The decoder's configuration in a ``text_config``, or in an older ``config.json`` that has no such section.

    Raises:
        UserError: it lacks a size, or asks for something that the decoder does not do.
    """
    refuse(content, "use_sliding_window", False)
    rope = read_rope(content, theta=1000000.0)
    rope["mrope_sections"] = rope["mrope_sections"] or [16, 24, 24]
    return Decoder.Config(**read_sizes(content), **rope, activation=read_activation(content), qkv_bias=True)


def write_config(config: Decoder.Config) -> dict[str, Any]:
    """The ``text_config``."""
    content: dict[str, Any] = {"model_type": "qwen2_vl_text", "use_sliding_window": False}
    return content | write_sizes(config) | write_rope(config) | write_activation(config)
