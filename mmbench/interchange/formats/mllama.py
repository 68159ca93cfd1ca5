"""``mllama``: Llama 3.2 Vision, whose layers of cross-attention are counted among those of its text model.

Pictures are stretched to the grid of tiles that is nearest to their aspect ratio (`mmbench.nn.tiles`), where the
published preprocessing takes the smallest grid that a picture need not be shrunk for, or else the one for which it is
shrunk least, keeps the aspect ratio, and fills up with black. What the model makes of the same tiles is the same.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mmbench.config.model import EncoderSettings, SystemSettings
from mmbench.interchange.foreign import Foreign
from mmbench.interchange.formats.sections import is_tied, section
from mmbench.nn.connectors.linear import LinearConnector
from mmbench.nn.layouts import gated_layers, linear_projectors, mllama_text, mllama_vision
from mmbench.nn.tensor_names import Joined
from mmbench.nn.tiled_encoder import TiledEncoder

_TEXT = "language_model.model."


def read(content: dict[str, Any], tokens: Mapping[str, int]) -> Foreign:
    """The system that a ``config.json`` describes.

    The tokenizer's image token stands in the text and looks at the image, as all that follows it does.

    Raises:
        ValueError, UserError: it has something that the family does not.
    """
    text = mllama_text.DEFAULTS | section(content, "text_config")
    encoder = mllama_vision.read_config(section(content, "vision_config"))
    _check_grids(encoder)
    decoder = mllama_text.read_config(text | {"tie_word_embeddings": is_tied(content, text)})
    blocks = _blocks(text["num_hidden_layers"], text["cross_attention_layers"])
    image_token = _image_token(content, decoder.vocab_size)
    options = {
        "views": "tiles",
        "max_tiles": encoder.max_num_tiles,
        "thumbnail": "none",
        "connector": "linear",
        "gated": "mllama",
        "blocks": list(blocks),
        "lead": [image_token],
    }
    return Foreign(
        system=SystemSettings(family="crossattn", paper="Llama 3.2 Vision, arXiv 2407.21783", options=options),
        encoder=EncoderSettings(library="native", name="mllama", options=asdict(encoder), weights="random"),
        decoder=decoder,
        image_size=math.isqrt(encoder.max_num_tiles) * encoder.tile_size,
        names=[
            *mllama_vision.names(encoder, "encoder.", "vision_model."),
            *linear_projectors.names(LinearConnector.Config(), "connector.", "multi_modal_projector."),
            *_gated(text, blocks),
            *mllama_text.names(
                decoder,
                "decoder.",
                _TEXT,
                "language_model.lm_head.weight",
                cross_attention_layers=text["cross_attention_layers"],
            ),
        ],
        aliases={
            "model.vision_model.": "vision_model.",
            "model.multi_modal_projector.": "multi_modal_projector.",
            "model.language_model.": _TEXT,
            "lm_head.": "language_model.lm_head.",
        },
        image_token=image_token,
        data={"layout": "native"},
    )


def _blocks(num_layers: int, cross_attention_layers: Sequence[int]) -> dict[int, int]:
    """The decoder's block that each layer of cross-attention stands before -> the number of that layer."""
    blocks: dict[int, int] = {}
    for number, layer in enumerate(sorted(cross_attention_layers)):
        block = layer - number
        if not 0 <= layer < num_layers - 1 or block in blocks:
            raise ValueError(
                f"cross_attention_layers are {list(cross_attention_layers)}: behind each of them there must be one of "
                f"the {num_layers} layers that is not among them"
            )
        blocks[block] = layer
    return blocks


def _gated(text: Mapping[str, Any], blocks: Mapping[int, int]) -> Iterator[Joined]:
    sizes = gated_layers.read_mllama_config(text)
    for block, layer in blocks.items():
        yield from gated_layers.mllama_names(sizes, f"cross_attention.{block}.", f"{_TEXT}layers.{layer}.")


def _check_grids(encoder: TiledEncoder.Config) -> None:
    """Pictures come in all grids of so many tiles."""
    counts = range(1, encoder.max_num_tiles + 1)
    lacking = [[r, c] for r in counts for c in counts if r * c <= encoder.max_num_tiles and [r, c] not in encoder.grids]
    if lacking:
        rows, columns = lacking[0]
        raise ValueError(
            f"supported_aspect_ratios lacks {rows} x {columns}, but a picture may be cut into any rows and columns of "
            f"up to {encoder.max_num_tiles} tiles"
        )


def _image_token(content: Mapping[str, Any], vocab_size: int) -> int:
    """Its id, the first of those behind the vocabulary unless it is stated."""
    token = content.get("image_token_index")
    if token is None:
        return vocab_size
    if not 0 <= token < vocab_size + mllama_text.NUM_EXTRA:
        raise ValueError(
            f"image_token_index is {token}, but the language model reads ids below {vocab_size + mllama_text.NUM_EXTRA}"
        )
    return int(token)
