"""``fuyu``: pixels through one linear layer straight into the language model, Persimmon.

A picture keeps its size and aspect ratio, and a newline stands after each row of its patches.

The published prompts put the picture before the token that begins a text, and ``<0x04>`` before the answer. Here that
token begins the row, as in every system, and a question's prompt is that of the data. What the model makes of the same
tokens is the same.
"""

from collections.abc import Mapping
from typing import Any

from mmbench.config.model import EncoderSettings, SystemSettings
from mmbench.interchange.foreign import Foreign
from mmbench.interchange.formats.sections import is_tied, section
from mmbench.nn.connectors.linear import LinearConnector
from mmbench.nn.layouts import linear_projectors, persimmon

_NEWLINE, _NEWLINE_ID = "|NEWLINE|", 71019
"""The token after each row of patches, and its id in the published vocabulary."""


def read(content: dict[str, Any], tokens: Mapping[str, int]) -> Foreign:
    """The system that a ``config.json`` describes.

    Raises:
        ValueError, UserError: it has something that the family does not.
    """
    text = persimmon.DEFAULTS | section(content, "text_config")
    decoder = persimmon.read_config(text | {"tie_word_embeddings": is_tied(content, text)})
    patch_size, image_size = content.get("patch_size", 30), content.get("image_size", 300)
    if content.get("num_channels", 3) != 3:
        raise ValueError(f"num_channels is {content['num_channels']}, but pictures have 3")
    newline = tokens.get(_NEWLINE, _NEWLINE_ID)
    if newline >= decoder.vocab_size:
        raise ValueError(
            f"its tokenizer.json has no special token {_NEWLINE}, which stands after each row of patches: give the "
            "folder with the tokenizer of the checkpoint"
        )
    options = {
        "encoder": "none",
        "patch_size": patch_size,
        "views": "native",
        "connector": "linear",
        "row_breaks": "break",
        "break_ids": [newline, newline],
    }
    return Foreign(
        system=SystemSettings(family="unified", paper="Fuyu, https://www.adept.ai/blog/fuyu-8b", options=options),
        encoder=_none(patch_size),
        decoder=decoder,
        image_size=image_size // patch_size * patch_size,
        names=[
            *linear_projectors.names(LinearConnector.Config(), "connector.", "vision_embed_tokens."),
            *persimmon.names(decoder, "decoder.", "language_model.model.", "language_model.lm_head.weight"),
        ],
        ignored=("language_model.lm_head.",) if decoder.tie_embeddings else (),
        aliases={
            "model.language_model.": "language_model.model.",
            "model.vision_embed_tokens.": "vision_embed_tokens.",
            "lm_head.": "language_model.lm_head.",
        },
        data={"layout": "native", "size_multiple": patch_size},
    )


def _none(patch_size: int) -> EncoderSettings:
    """The smallest encoder with such patches, for settings have one, and the system reads none."""
    options = {"dim": 8, "depth": 1, "num_heads": 1, "feed_forward_width": 8, "patch_size": patch_size}
    return EncoderSettings(library="native", name="pixtral", options=options, weights="random")
