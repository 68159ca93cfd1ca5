"""Qwen2-VL's vision tower (arXiv 2409.12191), without its merger, as a `NativeEncoder`."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmbench.nn.layouts.text_fields import activation_name, read_activation, refuse
from mmbench.nn.layouts.vision import OUR_BLOCK, block_names, whole, written
from mmbench.nn.native_encoder import NativeEncoder
from mmbench.nn.native_models import NATIVE
from mmbench.nn.tensor_names import Joined

QWEN2_VL = {
    "embed_dim": 1280,
    "mlp_ratio": 4,
    "depth": 32,
    "num_heads": 16,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "hidden_act": "quick_gelu",
    "rope_theta": 10000.0,
}
"""What a ``vision_config`` leaves out means this."""

_BLOCK = {
    "norm1": ("norm1",),
    "qkv": ("attn.qkv",),
    "output": ("attn.proj",),
    "norm2": ("norm2",),
    "up": ("mlp.fc1",),
    "down": ("mlp.fc2",),
}


def names(config: NativeEncoder.Config, prefix_ours: str = "", prefix_theirs: str = "") -> Iterator[Joined]:
    """The table of names; the prefixes end with their dot."""
    kernel = (config.patch_size, config.patch_size)
    yield Joined(
        f"{prefix_ours}patches.weight",
        (f"{prefix_theirs}patch_embed.proj.weight",),
        reshape=(config.dim, 3, config.temporal_patch, *kernel),
        shape=(config.dim, 3 * config.temporal_patch, *kernel),
    )
    for i in range(config.depth):
        yield from block_names(OUR_BLOCK, _BLOCK, {}, f"{prefix_ours}blocks.{i}.", f"{prefix_theirs}blocks.{i}.")


def read_config(content: Mapping[str, Any]) -> NativeEncoder.Config:
    """The encoder that a ``vision_config`` of ``qwen2_vl`` describes.

    Raises:
        UserError: there is something in it that we do not have.
    """
    content = whole(content, QWEN2_VL)
    refuse(content, "spatial_merge_size", 2)
    return NativeEncoder.Config(
        **NATIVE["qwen2-vl"]
        | {
            "dim": content["embed_dim"],
            "depth": content["depth"],
            "num_heads": content["num_heads"],
            "patch_size": content["patch_size"],
            "temporal_patch": content["temporal_patch_size"],
            "feed_forward_width": int(content["embed_dim"] * content["mlp_ratio"]),
            "activation": read_activation(content),
            "rope_theta": {**content, **(content.get("rope_parameters") or {})}["rope_theta"],
        }
    )


def write_config(config: NativeEncoder.Config, out_dim: int) -> dict[str, Any]:
    """What `read_config` reads; ``out_dim``: what the merger, which is part of the tower there, puts out.

    Raises:
        UserError: the format cannot say all that the encoder is.
    """
    content = {
        "model_type": "qwen2_vl",
        "embed_dim": config.dim,
        "hidden_size": out_dim,
        "mlp_ratio": config.feed_forward_width // config.dim,
        "depth": config.depth,
        "num_heads": config.num_heads,
        "patch_size": config.patch_size,
        "temporal_patch_size": config.temporal_patch,
        "spatial_merge_size": config.merge,
        "hidden_act": activation_name(config.activation),
        "rope_theta": config.rope_theta,
    }
    return written(content, read_config, config)
