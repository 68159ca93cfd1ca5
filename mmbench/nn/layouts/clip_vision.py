"""The vision towers of CLIP (arXiv 2103.00020) and of IDEFICS, which has the same, as Vision Transformers of timm."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmbench.config.model import EncoderSettings
from mmbench.nn.layouts.timm_vision import read_settings, tower_names, write_settings
from mmbench.nn.layouts.vision import module_names
from mmbench.nn.tensor_names import Joined

CLIP = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
"""What a ``vision_config`` of ``clip`` leaves out means this."""

IDEFICS = {
    "embed_dim": 768,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
}
"""The same for ``idefics``."""


def names(
    settings: EncoderSettings, prefix_ours: str = "", prefix_theirs: str = "", final_norm: bool = True
) -> Iterator[Joined]:
    """The table of names.

    Args:
        settings: as `read_config` or `timm_vision.settings_of` gives them.
        prefix_ours: of the `TimmEncoder`, with its dot.
        prefix_theirs: of the tower (``vision_model.`` and the like), with its dot.
        final_norm: whether ours has the norm behind the last block, which `ImageEncoder.keep_layers` drops.
    """
    dim, ours = settings.options["embed_dim"], f"{prefix_ours}model."
    class_token = (f"{prefix_theirs}embeddings.class_embedding",)
    yield Joined(f"{ours}cls_token", class_token, reshape=(dim,), shape=(1, 1, dim))
    yield from module_names(f"{ours}patch_embed.proj", f"{prefix_theirs}embeddings.patch_embedding", bias=False)
    yield from module_names(f"{ours}norm_pre", f"{prefix_theirs}pre_layrnorm")  # so spelt there
    yield from tower_names(settings, ours, prefix_theirs, num_class_tokens=1, final_norm=final_norm)


def read_config(content: Mapping[str, Any], idefics: bool = False) -> EncoderSettings:
    """The encoder that a ``vision_config`` of ``clip``, or of ``idefics``, describes, without weights.

    Raises:
        UserError: there is something in it that we do not have.
    """
    if idefics:
        return read_settings(content, "vit_base_patch32_clip_224", IDEFICS, "embed_dim")
    return read_settings(content, "vit_base_patch32_clip_224", CLIP)


def write_config(settings: EncoderSettings, idefics: bool = False) -> dict[str, Any]:
    """What `read_config` reads."""
    if idefics:
        return write_settings(settings, "idefics_vision", "embed_dim")
    return write_settings(settings, "clip_vision_model")
