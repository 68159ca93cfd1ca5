"""``llava``: LLaVA and LLaVA-1.5, and Pixtral, which has the same connector behind an encoder of its own."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from mmbench.config.model import EncoderSettings, SystemSettings
from mmbench.interchange.foreign import Foreign
from mmbench.nn.layouts import clip_vision, llama, pixtral_vision
from mmbench.nn.layouts.text_fields import read_activation
from mmbench.nn.tensor_names import Joined

_TEXT = {"model_type": "llama"} | llama.DEFAULTS["llama"]


def read(content: dict[str, Any]) -> Foreign:
    """The system that a ``config.json`` describes.

    Raises:
        ValueError, UserError: it has something that the family does not.
    """
    vision = content["vision_config"]
    pixtral = vision.get("model_type") == "pixtral"
    text = content["text_config"]
    text = llama.DEFAULTS.get(text.get("model_type", "llama"), {}) | _TEXT | text
    decoder = llama.read_config(text)
    encoder, tower = _pixtral(vision) if pixtral else _clip(vision)
    layers = content.get("vision_feature_layer", -1 if pixtral else -2)
    _check_tokens(content, pixtral)
    options = {
        "connector": "mlp",
        "connector_options": {
            "activation": read_activation({"hidden_act": content.get("projector_hidden_act", "gelu")}),
            "bias": content.get("multimodal_projector_bias", True),
        },
        "layers": [layers] if isinstance(layers, int) else list(layers),
    }
    if pixtral:
        # HF leaves [IMG_BREAK] and [IMG_END] to the tokens of the prompt, where they are words of the vocabulary.
        options |= {"views": "native", "row_breaks": "break"}
    paper = "Pixtral, arXiv 2410.07073" if pixtral else "LLaVA, arXiv 2304.08485 and 2310.03744"
    return Foreign(
        system=SystemSettings(family="unified", paper=paper, options=options),
        encoder=encoder,
        decoder=decoder,
        image_size=vision.get("image_size", 1024 if pixtral else 224),
        names=[*tower, *_connector(content), *llama.names(decoder, "decoder.", "language_model.model.", _HEAD)],
    )


_HEAD = "language_model.lm_head.weight"


def _connector(content: dict[str, Any]) -> Iterator[Joined]:
    for ours, theirs in (("up", "linear_1"), ("down", "linear_2")):
        for kind in ("weight", "bias")[: 1 + content.get("multimodal_projector_bias", True)]:
            yield Joined(f"connector.mlp.{ours}.{kind}", (f"multi_modal_projector.{theirs}.{kind}",))


def _clip(vision: dict[str, Any]) -> tuple[EncoderSettings, list[Joined]]:
    encoder = clip_vision.read_config(vision)
    return encoder, list(clip_vision.names(encoder, "encoder.", "vision_tower."))


def _pixtral(vision: dict[str, Any]) -> tuple[EncoderSettings, list[Joined]]:
    config = pixtral_vision.read_config(vision)
    encoder = EncoderSettings(library="native", name="pixtral", options=asdict(config), weights="random")
    return encoder, list(pixtral_vision.names(config, "encoder.", "vision_tower."))


def _check_tokens(content: dict[str, Any], pixtral: bool) -> None:
    """Which of the tower's tokens are read: all of Pixtral's, which has no class token; CLIP's patches alone."""
    strategy = content.get("vision_feature_select_strategy", "full" if pixtral else "default")
    if strategy != ("full" if pixtral else "default"):
        raise ValueError(
            f"vision_feature_select_strategy is '{strategy}': of a CLIP tower only 'default', the patches, can be read"
        )
