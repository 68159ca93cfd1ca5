"""``siglip``: a dual encoder that pools by attention and reads texts padded to one length."""

from collections.abc import Mapping
from typing import Any

from mmbench.config.model import SystemSettings
from mmbench.interchange.foreign import Foreign
from mmbench.interchange.formats.sections import whole_patches
from mmbench.nn.layouts import siglip
from mmbench.nn.layouts.siglip_vision import SIGLIP
from mmbench.nn.layouts.vision import whole


def read(content: dict[str, Any], tokens: Mapping[str, int]) -> Foreign:
    """The system that a ``config.json`` describes.

    Raises:
        ValueError, UserError: it has something that the family does not.
    """
    vision = whole(content.get("vision_config") or {}, SIGLIP)
    if not vision.get("vision_use_head", True):
        raise ValueError("vision_use_head is false: without it the tower has no embedding of an image")
    towers = siglip.read_config(content)
    options = {
        "objective": "sigmoid",
        "image_pool": "attention",
        "pool_heads": vision["num_attention_heads"],
        "pool_feed_forward_width": vision["intermediate_size"],
        "project_image": False,
        "text_attention": "bidirectional",
        "begin_token": False,
        "longest_text": towers.decoder.max_positions,
        "pad_text": True,
        "text_pad_id": (content.get("text_config") or {}).get("pad_token_id", 1),
    }
    return Foreign(
        system=SystemSettings(family="dual", paper="SigLIP, arXiv 2303.15343", options=options),
        encoder=towers.encoder,
        decoder=towers.decoder,
        image_size=whole_patches(vision["image_size"], vision["patch_size"]),
        names=list(siglip.names(towers)),
    )
