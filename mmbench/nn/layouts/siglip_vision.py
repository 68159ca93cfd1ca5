"""The vision tower of SigLIP (arXiv 2303.15343), without its pooling head, as a Vision Transformer of timm."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmbench.config.model import EncoderSettings
from mmbench.nn.layouts.timm_vision import read_settings, tower_names, write_settings
from mmbench.nn.layouts.vision import module_names
from mmbench.nn.tensor_names import Joined

SIGLIP = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
"""What a ``vision_config`` of ``siglip`` leaves out means this."""


def names(
    settings: EncoderSettings, prefix_ours: str = "", prefix_theirs: str = "", final_norm: bool = True
) -> Iterator[Joined]:
    """The table of names; arguments as `clip_vision.names`."""
    ours = f"{prefix_ours}model."
    yield from module_names(f"{ours}patch_embed.proj", f"{prefix_theirs}embeddings.patch_embedding")
    yield from tower_names(settings, ours, prefix_theirs, num_class_tokens=0, final_norm=final_norm)


def read_config(content: Mapping[str, Any]) -> EncoderSettings:
    """The encoder that a ``vision_config`` of ``siglip`` describes, without weights.

    Raises:
        UserError: there is something in it that we do not have.
    """
    return read_settings(content, "vit_base_patch16_siglip_224", SIGLIP)


def write_config(settings: EncoderSettings) -> dict[str, Any]:
    """What `read_config` reads."""
    return write_settings(settings, "siglip_vision_model")
