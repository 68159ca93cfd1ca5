"""Pixtral's vision tower (arXiv 2410.07073) as a `NativeEncoder`."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmbench.nn.layouts.text_fields import activation_name, read_activation
from mmbench.nn.layouts.vision import OUR_BLOCK, block_names, module_names, whole, written
from mmbench.nn.native_encoder import NativeEncoder
from mmbench.nn.tensor_names import Joined

PIXTRAL = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 1024,
    "patch_size": 16,
    "hidden_act": "gelu",
    "rope_theta": 10000.0,
}
"""What a ``vision_config`` leaves out means this; ``image_size`` only says how large images are made at most."""

_BLOCK = {
    "norm1": ("attention_norm",),
    "qkv": ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
    "output": ("attention.o_proj",),
    "norm2": ("ffn_norm",),
    "gate_up": ("feed_forward.gate_proj", "feed_forward.up_proj"),
    "down": ("feed_forward.down_proj",),
}


def names(config: NativeEncoder.Config, prefix_ours: str = "", prefix_theirs: str = "") -> Iterator[Joined]:
    """The table of names; the prefixes end with their dot."""
    rows = {"qkv": config.dim, "gate_up": config.feed_forward_width}
    yield from module_names(f"{prefix_ours}patches", f"{prefix_theirs}patch_conv", bias=False)
    yield from module_names(f"{prefix_ours}norm_pre", f"{prefix_theirs}ln_pre", bias=False)
    for i in range(config.depth):
        theirs = f"{prefix_theirs}transformer.layers.{i}."
        yield from block_names(OUR_BLOCK, _BLOCK, rows, f"{prefix_ours}blocks.{i}.", theirs, tuple(_BLOCK))


def read_config(content: Mapping[str, Any]) -> NativeEncoder.Config:
    """The encoder that a ``vision_config`` of ``pixtral`` describes.

    Raises:
        UserError: there is something in it that we do not have.
    """
    content = whole(content, PIXTRAL)
    return NativeEncoder.Config(
        dim=content["hidden_size"],
        depth=content["num_hidden_layers"],
        num_heads=content["num_attention_heads"],
        patch_size=content["patch_size"],
        feed_forward_width=content["intermediate_size"],
        activation=read_activation(content),
        rope_theta={**content, **(content.get("rope_parameters") or {})}["rope_theta"],
    )


def write_config(config: NativeEncoder.Config, image_size: int = 1024) -> dict[str, Any]:
    """What `read_config` reads; ``image_size``: the longer side that images have at most, in pixels.

    Raises:
        UserError: the format cannot say all that the encoder is.
    """
    content = {
        "model_type": "pixtral",
        "hidden_size": config.dim,
        "intermediate_size": config.feed_forward_width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.num_heads,
        "image_size": image_size,
        "patch_size": config.patch_size,
        "hidden_act": activation_name(config.activation),
        "rope_theta": config.rope_theta,
    }
    return written(content, read_config, config)
