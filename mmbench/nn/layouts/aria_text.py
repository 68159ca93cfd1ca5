"""The text model of Aria: Llama with a mixture of experts in the place of each feed-forward (arXiv 2410.05993)."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmbench.config.model import ExpertSettings
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
    "intermediate_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}
"""What a ``text_config`` leaves out means this."""

_WORDS = TextNames(
    gate="mlp.shared_experts.gate_proj",
    up="mlp.shared_experts.up_proj",
    down="mlp.shared_experts.down_proj",
    router="mlp.router.weight",
    experts=("mlp.experts.fc1.weight", "mlp.experts.fc2.weight"),
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
    """The decoder's configuration in a ``text_config``, or in the ``config.json`` of the text model alone.

    Raises:
        UserError: it lacks a size, or asks for something that the decoder does not do.
    """
    attention_bias = bool(content.get("attention_bias", False))
    sizes = read_sizes(content)
    return Decoder.Config(
        **sizes,
        **read_rope(content),
        activation=read_activation(content),
        qkv_bias=attention_bias,
        output_bias=attention_bias,
        feed_forward_bias=bool(content.get("mlp_bias", False)),
        experts=ExpertSettings(
            num_experts=content.get("moe_num_experts", 8),
            num_active=content.get("moe_topk", 2),
            num_shared=content.get("moe_num_shared_experts", 2),
            width=sizes["feed_forward_width"],
        ),
    )


def write_config(config: Decoder.Config) -> dict[str, Any]:
    """The ``config.json`` of the text model alone, which is also the ``text_config`` of the whole."""
    content: dict[str, Any] = {"architectures": ["AriaTextForCausalLM"], "model_type": "aria_text"}
    content |= write_sizes(config) | write_rope(config) | write_activation(config)
    return content | {
        "intermediate_size": config.experts.width,
        "attention_bias": config.output_bias,
        "mlp_bias": config.feed_forward_bias,
        "moe_num_experts": config.experts.num_experts,
        "moe_topk": config.experts.num_active,
        "moe_num_shared_experts": config.experts.num_shared,
    }
