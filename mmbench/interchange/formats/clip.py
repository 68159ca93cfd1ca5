"""``clip``: a dual encoder with a class token and causal text."""

from collections.abc import Mapping
from typing import Any

from mmbench.config.model import SystemSettings
from mmbench.interchange.foreign import Foreign
from mmbench.nn.layouts import clip


def read(content: dict[str, Any], tokens: Mapping[str, int]) -> Foreign:
    """The system that a ``config.json`` describes.

    Raises:
        ValueError, UserError: it has something that the family does not.
    """
    towers = clip.read_config(content)
    options = {"image_pool": "class", "embed_dim": towers.embed_dim, "longest_text": towers.decoder.max_positions}
    return Foreign(
        system=SystemSettings(family="dual", paper="CLIP, arXiv 2103.00020", options=options),
        encoder=towers.encoder,
        decoder=towers.decoder,
        image_size=towers.encoder.options["img_size"],
        names=list(clip.names(towers)),
    )
