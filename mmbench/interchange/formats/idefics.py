"""``idefics``: IDEFICS, the open Flamingo.

Pictures are stretched to the square, as in the published preprocessing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from mmbench.config.model import SystemSettings
from mmbench.interchange.foreign import Foreign
from mmbench.nn.layouts import clip_vision, gated_layers, idefics_perceiver, idefics_text
from mmbench.nn.tensor_names import Joined

_AROUND, _IMAGE = "<fake_token_around_image>", "<image>"


def read(content: dict[str, Any], tokens: Mapping[str, int]) -> Foreign:
    """The system that a ``config.json`` describes.

    An image stands in the text as three tokens; the one in the middle and all that follows it look at the image.
    Where no tokenizer names them, they are the first two of the additional vocabulary, as they were published.

    Raises:
        ValueError, UserError: it has something that the family does not.
    """
    text = idefics_text.DEFAULTS | content
    vision = content.get("vision_config") or {}
    encoder = clip_vision.read_config(vision, idefics=True)
    decoder = idefics_text.read_config(text)
    perceiver = idefics_perceiver.read_config(content)
    sizes = gated_layers.read_idefics_config(text)
    num_additional = content.get("additional_vocab_size", 0)
    around, image = _image_tokens(tokens, decoder.vocab_size, num_additional)
    every = content.get("cross_layer_interval", 1)
    if decoder.depth % every:
        raise ValueError(f"cross_layer_interval is {every}, which does not divide its {decoder.depth} layers")
    # Theirs is the last block's output with its class token and without the norm behind it.
    options: dict[str, Any] = {
        "layers": [-1],
        "class_token": True,
        "gated": "idefics",
        "blocks": list(range(0, decoder.depth, every)),
        "qk_norm": sizes.qk_norm,
        "vector_gates": sizes.vector_gates,
        "lead": [around, image, around],
        "lead_sees": 2,
    }
    if perceiver is not None:
        options |= {
            "connector": "perceiver",
            "connector_options": asdict(perceiver),
            "context_width": encoder.options["embed_dim"],
        }
    return Foreign(
        system=SystemSettings(family="crossattn", paper="IDEFICS, arXiv 2306.16527", options=options),
        encoder=encoder,
        decoder=decoder,
        image_size=encoder.options["img_size"],
        names=[
            *clip_vision.names(encoder, "encoder.", "model.vision_model."),
            *(idefics_perceiver.names(perceiver, "connector.", "model.perceiver_resampler.") if perceiver else ()),
            *_gated(sizes, decoder.depth, every),
            *idefics_text.names(decoder, "decoder.", additional_vocab_size=num_additional),
        ],
        ignored=("lm_head.",) if decoder.tie_embeddings else (),
        image_token=image,
    )


def _gated(sizes: gated_layers.GatedSizes, depth: int, every: int) -> Iterator[Joined]:
    for number, block in enumerate(range(0, depth, every)):
        ours, theirs = f"cross_attention.{block}.", f"model.gated_cross_attn_layers.{number}."
        yield from gated_layers.idefics_names(sizes, ours, theirs)


def _image_tokens(tokens: Mapping[str, int], vocab_size: int, num_additional: int) -> tuple[int, int]:
    """The ids of what stands around an image, and for it."""
    if _AROUND in tokens and _IMAGE in tokens:
        return tokens[_AROUND], tokens[_IMAGE]
    if num_additional < 2:
        raise ValueError(
            f"neither its tokenizer.json nor an additional vocabulary has {_AROUND} and {_IMAGE}, which stand for the "
            "image in the text: give the folder with the tokenizer of the checkpoint"
        )
    first = vocab_size - num_additional
    return first, first + 1
