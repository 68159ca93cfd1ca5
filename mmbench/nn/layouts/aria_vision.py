"""Aria's vision tower (arXiv 2410.05993; the format calls it ``idefics3_vision``) as a `NativeEncoder`."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmbench.nn.layouts.text_fields import activation_name, read_activation
from mmbench.nn.layouts.vision import OUR_BLOCK, SIGLIP_BLOCK, block_names, module_names, whole, written
from mmbench.nn.native_encoder import NativeEncoder
from mmbench.nn.native_models import NATIVE
from mmbench.nn.tensor_names import Joined

ARIA = {
    "hidden_size": 1152,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
"""What a ``vision_config`` of type ``idefics3_vision`` leaves out means this."""


def names(
    config: NativeEncoder.Config, prefix_ours: str = "", prefix_theirs: str = "", final_norm: bool = True
) -> Iterator[Joined]:
    """The table of names; arguments as `clip_vision.names`."""
    embeddings = f"{prefix_theirs}embeddings."
    yield from module_names(f"{prefix_ours}patches", f"{embeddings}patch_embedding")
    yield from module_names(f"{prefix_ours}positions", f"{embeddings}position_embedding", bias=False)
    for i in range(config.depth):
        theirs = f"{prefix_theirs}encoder.layers.{i}."
        yield from block_names(OUR_BLOCK, SIGLIP_BLOCK, {"qkv": config.dim}, f"{prefix_ours}blocks.{i}.", theirs)
    if final_norm:
        yield from module_names(f"{prefix_ours}norm_post", f"{prefix_theirs}post_layernorm")


def read_config(content: Mapping[str, Any]) -> NativeEncoder.Config:
    """The encoder that a ``vision_config`` of type ``idefics3_vision`` describes.

    Raises:
        UserError: there is something in it that we do not have.
    """
    content = whole(content, ARIA)
    return NativeEncoder.Config(
        **NATIVE["aria"]
        | {
            "dim": content["hidden_size"],
            "depth": content["num_hidden_layers"],
            "num_heads": content["num_attention_heads"],
            "patch_size": content["patch_size"],
            "feed_forward_width": content["intermediate_size"],
            "activation": read_activation(content),
            "norm_eps": content["layer_norm_eps"],
            "position_buckets": content["image_size"] // content["patch_size"],
        }
    )


def write_config(config: NativeEncoder.Config) -> dict[str, Any]:
    """What `read_config` reads.

    Raises:
        UserError: the format cannot say all that the encoder is.
    """
    content = {
        "model_type": "idefics3_vision",
        "hidden_size": config.dim,
        "intermediate_size": config.feed_forward_width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.num_heads,
        "image_size": config.position_buckets * config.patch_size,
        "patch_size": config.patch_size,
        "hidden_act": activation_name(config.activation),
        "layer_norm_eps": config.norm_eps,
    }
    return written(content, read_config, config)
