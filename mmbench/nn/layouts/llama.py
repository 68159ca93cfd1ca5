"""Checkpoints of Llama (SmolLM2 too), Qwen2 (Qwen2.5 too) and Mistral."""

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

DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": {
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
    "qwen2": {
        "vocab_size": 151936,
        "hidden_size": 4096,
        "intermediate_size": 22016,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
    "mistral": {
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
}
"""What a ``text_config`` inside a larger configuration leaves out means this, by ``model_type``."""


def names(
    config: Decoder.Config,
    prefix_ours: str = "",
    prefix_theirs: str = "model.",
    head: str = "lm_head.weight",
    layers: Sequence[int] | None = None,
) -> Iterator[Joined]:
    """The table of names; arguments as `decoder_names`."""
    return decoder_names(config, TextNames(), prefix_ours, prefix_theirs, head, layers)


def read_config(content: Mapping[str, Any]) -> Decoder.Config:
    """The decoder's configuration in a ``config.json``.

    Raises:
        UserError: it lacks a size, or asks for something that the decoder does not do.
    """
    kind = content.get("model_type")
    if kind not in DEFAULTS:
        raise UserError(f"config.json has model_type {kind!r}, but only {', '.join(DEFAULTS)} is supported here")
    of_llama = content if kind == "llama" else {}
    attention_bias = bool(of_llama.get("attention_bias", False))
    return Decoder.Config(
        **read_sizes(content),
        **read_rope(content),
        activation=read_activation(content),
        qkv_bias=kind == "qwen2" or attention_bias,
        output_bias=attention_bias,
        feed_forward_bias=bool(of_llama.get("mlp_bias", False)),
        sliding_window=_sliding_window(content),
    )


def write_config(config: Decoder.Config) -> dict[str, Any]:
    """The ``config.json`` of the type that fits: with a sliding window Mistral, with biases of the queries, keys and
    values alone Qwen2, otherwise Llama."""
    kind, architecture = "llama", "LlamaForCausalLM"
    more: dict[str, Any] = {"attention_bias": config.output_bias, "mlp_bias": config.feed_forward_bias}
    if config.sliding_window is not None:
        kind, architecture, more = "mistral", "MistralForCausalLM", {"sliding_window": config.sliding_window}
    elif config.qkv_bias and not config.output_bias:
        kind, architecture, more = "qwen2", "Qwen2ForCausalLM", {"use_sliding_window": False}
    content: dict[str, Any] = {"architectures": [architecture], "model_type": kind}
    return content | write_sizes(config) | write_rope(config) | write_activation(config) | more


def _sliding_window(content: Mapping[str, Any]) -> int | None:
    """How far Mistral's attention reaches. Qwen2 has it in some layers only, and switched off in all its releases."""
    if content["model_type"] == "mistral":
        window: int | None = content.get("sliding_window", 4096)
        return window
    if content["model_type"] == "qwen2" and content.get("use_sliding_window"):
        first = content.get("max_window_layers", 28)
        if first < content["num_hidden_layers"]:
            raise UserError(
                f"config.json has use_sliding_window from layer {first}, but a window in some layers only is not "
                "supported: choose another checkpoint, or set use_sliding_window to false for texts within the window"
            )
    return None
