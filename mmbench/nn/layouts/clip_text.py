"""The text towers of CLIP (arXiv 2103.00020, causal) and SigLIP (arXiv 2303.15343, not causal).

The tower is a decoder without a vocabulary projection of its own; the projection of the pooled token is not part of it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mmbench.nn.decoder import Decoder
from mmbench.nn.layouts.text_fields import read_activation, read_sizes, write_activation, write_sizes
from mmbench.nn.layouts.text_names import TextNames, decoder_names
from mmbench.nn.tensor_names import Joined

DEFAULTS: dict[str, dict[str, Any]] = {
    "clip_text_model": {
        "vocab_size": 49408,
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "max_position_embeddings": 77,
    },
    "siglip_text_model": {
        "vocab_size": 32000,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 64,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-6,
    },
}
"""What a ``text_config`` leaves out means this, by ``model_type``."""

_WORDS = TextNames(
    embedding="embeddings.token_embedding",
    positions="embeddings.position_embedding",
    layers="encoder.layers",
    attention_norm="layer_norm1",
    output="self_attn.out_proj",
    feed_forward_norm="layer_norm2",
    up="mlp.fc1",
    down="mlp.fc2",
    norm="final_layer_norm",
)


def names(config: Decoder.Config, prefix_ours: str = "", prefix_theirs: str = "text_model.") -> Iterator[Joined]:
    """The table of names; arguments as `decoder_names`."""
    return decoder_names(config, _WORDS, prefix_ours, prefix_theirs)


def read_config(content: Mapping[str, Any]) -> Decoder.Config:
    """The tower's configuration in a ``text_config``.

    Raises:
        UserError: it lacks a size, or asks for something that the decoder does not do.
    """
    sizes = read_sizes(content, "layer_norm_eps") | {"tie_embeddings": True, "head_dim": None}
    return Decoder.Config(
        **sizes,
        norm="layer",
        qkv_bias=True,
        output_bias=True,
        feed_forward_bias=True,
        gated=False,
        activation=read_activation(content, "quick_gelu"),
        rotary_share=0.0,
        max_positions=content["max_position_embeddings"],
    )


def write_config(config: Decoder.Config, model_type: str = "clip_text_model") -> dict[str, Any]:
    """The ``text_config``."""
    content = {"model_type": model_type} | write_sizes(config, "layer_norm_eps") | write_activation(config)
    content |= {"max_position_embeddings": config.max_positions}
    absent = ("num_key_value_heads", "head_dim", "tie_word_embeddings")
    return {key: value for key, value in content.items() if key not in absent}
