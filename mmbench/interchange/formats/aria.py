"""``aria``: SigLIP for several resolutions, queries that look at its patches, and a mixture of experts.

Pictures are stretched to the square, where the published preprocessing keeps their ratio and fills up with black.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mmbench.config.model import EncoderSettings, SystemSettings
from mmbench.interchange.foreign import Foreign
from mmbench.interchange.formats.llava import ALIASES
from mmbench.interchange.formats.sections import is_tied, section
from mmbench.nn.layouts import aria_projector, aria_text, aria_vision
from mmbench.nn.native_encoder import NativeEncoder


def read(content: dict[str, Any], tokens: Mapping[str, int]) -> Foreign:
    """The system that a ``config.json`` describes.

    Raises:
        ValueError, UserError: it has something that the family does not.
    """
    vision, text = section(content, "vision_config"), aria_text.DEFAULTS | section(content, "text_config")
    config = aria_vision.read_config(vision)
    decoder = aria_text.read_config(text | {"tie_word_embeddings": is_tied(content, text)})
    connector = aria_projector.read_config(content)
    layer = content.get("vision_feature_layer", -1)
    if not isinstance(layer, int):
        raise ValueError(f"vision_feature_layer is {layer}, but only one layer can be read")
    queries = {str(patches): num for patches, num in connector.queries.items()}  # the keys of settings are text
    options = {
        "connector": "query",
        "connector_options": {"queries": queries, "num_heads": connector.num_heads},
        "layers": [layer],
    }
    return Foreign(
        system=SystemSettings(family="unified", paper="Aria, arXiv 2410.05993", options=options),
        encoder=EncoderSettings(library="native", name="aria", options=asdict(config), weights="random"),
        decoder=decoder,
        image_size=_image_size(config, connector.queries),
        names=[
            *aria_vision.names(config, "encoder.", "vision_tower."),
            *aria_projector.names(config.dim, "connector.", "multi_modal_projector."),
            *aria_text.names(decoder, "decoder.", "language_model.model.", "language_model.lm_head.weight"),
        ],
        ignored=("language_model.lm_head.",) if decoder.tie_embeddings else (),
        aliases=ALIASES,
        image_token=content.get("image_token_index", 9),
    )


def _image_size(config: NativeEncoder.Config, queries: Mapping[int, int]) -> int:
    """The largest square that there are queries for."""
    sides = [side for side in range(config.position_buckets, 0, -1) if side**2 in queries]
    if not sides:
        raise ValueError(
            f"projector_patch_to_query_dict has {', '.join(map(str, queries))} patches, but none of it is a square of "
            f"at most {config.position_buckets} x {config.position_buckets}"
        )
    return sides[0] * config.patch_size
