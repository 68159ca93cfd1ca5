"""``qwen2_vl``: pictures of any resolution, neighbours merged, positions in time, height and width."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mmbench.config.model import EncoderSettings, SystemSettings
from mmbench.interchange.foreign import Foreign
from mmbench.interchange.formats.sections import is_tied, section
from mmbench.nn.layouts import qwen2_vl_merger, qwen2_vl_text, qwen2_vl_vision

_TOKENS_ACROSS = 16
"""Side in tokens of the square that pictures come in unless the user asks for another; the model takes any."""


def read(content: dict[str, Any], tokens: Mapping[str, int]) -> Foreign:
    """The system that a ``config.json`` describes; older ones have the text's settings outside of any section.

    Raises:
        ValueError, UserError: it has something that the family does not.
    """
    vision = section(content, "vision_config")
    text = dict(content.get("text_config") or content)
    config, merger = qwen2_vl_vision.read_config(vision), qwen2_vl_merger.read_config(vision)
    tied = {"tie_word_embeddings": is_tied(content, text)}
    decoder = qwen2_vl_text.read_config(qwen2_vl_text.DEFAULTS | text | tied)
    step = config.patch_size * merger.factor
    options = {
        "connector": "merge",
        "connector_options": {"factor": merger.factor},
        "views": "native",
        "lead": [content.get("vision_start_token_id", 151652)],
        "trail": [content.get("vision_end_token_id", 151653)],
    }
    return Foreign(
        system=SystemSettings(family="unified", paper="Qwen2-VL, arXiv 2409.12191", options=options),
        encoder=EncoderSettings(library="native", name="qwen2-vl", options=asdict(config), weights="random"),
        decoder=decoder,
        image_size=_TOKENS_ACROSS * step,
        names=[
            *qwen2_vl_vision.names(config, "encoder.", "visual."),
            *qwen2_vl_merger.names("connector.", "visual.merger."),
            *qwen2_vl_text.names(decoder, "decoder.", "model."),
        ],
        ignored=("lm_head.",) if decoder.tie_embeddings else (),
        aliases={"model.visual.": "visual.", "model.language_model.": "model."},
        image_token=content.get("image_token_id", 151655),
        data={"layout": "native", "size_multiple": step},
    )
