"""Persimmon, which is also the decoder of Fuyu: LayerNorms, norms of queries and keys, half of each head turning."""

from collections.abc import Iterator, Mapping
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
    "vocab_size": 262144,
    "hidden_size": 4096,
    "intermediate_size": 16384,
    "num_hidden_layers": 36,
    "num_attention_heads": 64,
}
"""What a ``text_config`` leaves out means this."""

_WORDS = TextNames(
    query_key_value=("self_attn.query_key_value",),
    output="self_attn.dense",
    query_norm="self_attn.q_layernorm",
    key_norm="self_attn.k_layernorm",
    up="mlp.dense_h_to_4h",
    down="mlp.dense_4h_to_h",
    norm="final_layernorm",
)


def names(
    config: Decoder.Config,
    prefix_ours: str = "",
    prefix_theirs: str = "model.",
    head: str = "lm_head.weight",
) -> Iterator[Joined]:
    """The table of names; arguments as `decoder_names`."""
    return decoder_names(config, _WORDS, prefix_ours, prefix_theirs, head)


def read_config(content: Mapping[str, Any]) -> Decoder.Config:
    """The decoder's configuration in a ``config.json`` or ``text_config``.

    Raises:
        UserError: it lacks a size, or asks for something that the decoder does not do.
    """
    sizes = read_sizes(content, "layer_norm_eps")
    sizes["num_kv_heads"] = sizes["num_heads"]
    return Decoder.Config(
        **sizes,
        **read_rope(content, theta=25000.0, share=0.5),
        norm="layer",
        qkv_bias=True,
        output_bias=True,
        feed_forward_bias=True,
        gated=False,
        activation=read_activation(content, "relu2"),
        qk_norm="layer" if content.get("qk_layernorm", True) else None,
    )


def write_config(config: Decoder.Config) -> dict[str, Any]:
    """The ``config.json``, which is also the ``text_config`` of Fuyu."""
    content: dict[str, Any] = {"architectures": ["PersimmonForCausalLM"], "model_type": "persimmon"}
    content |= write_sizes(config, "layer_norm_eps") | write_rope(config) | write_activation(config)
    content |= {"partial_rotary_factor": config.rotary_share, "qk_layernorm": config.qk_norm is not None}
    return {key: value for key, value in content.items() if key not in ("num_key_value_heads", "head_dim")}
