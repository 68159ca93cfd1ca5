"""``llava``: LLaVA and LLaVA-1.5, and Pixtral, which has the same connector behind an encoder of its own."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mmbench.config.model import EncoderSettings, SystemSettings
from mmbench.interchange.foreign import Foreign
from mmbench.interchange.formats.sections import read_decoder, section, whole_patches
from mmbench.nn.layouts import clip_vision, llama, llava_projector, pixtral_vision, siglip_vision
from mmbench.nn.tensor_names import Joined

ALIASES = {
    "model.language_model.": "language_model.model.",
    "lm_head.": "language_model.lm_head.",
    "model.vision_tower.": "vision_tower.",
    "model.multi_modal_projector.": "multi_modal_projector.",
}
"""What a model's modules are called in memory -> what the published files call them."""

_BREAKS = ("[IMG_BREAK]", "[IMG_END]")


def read(content: dict[str, Any], tokens: Mapping[str, int]) -> Foreign:
    """The system that a ``config.json`` describes.

    The one layer of the first LLaVA, which `mmbench.interchange.composed` writes as two with nothing between them, is
    read as two: they compute the same.

    Raises:
        ValueError, UserError: it has something that the family does not.
    """
    vision = section(content, "vision_config")
    kind = vision.get("model_type", "clip_vision_model")
    decoder = read_decoder(content)
    layers = content.get("vision_feature_layer", -2)
    connector = llava_projector.read_config(content)
    encoder, tower = _tower(vision, kind)
    _check_tokens(content, kind)
    options = {
        "connector": "mlp",
        "connector_options": {"activation": connector.activation, "bias": connector.bias},
        "layers": [layers] if isinstance(layers, int) else list(layers),
    }
    image_size = whole_patches(vision.get("image_size", _IMAGE_SIZES[kind]), encoder.options["patch_size"])
    data: dict[str, Any] = {}
    if kind == "pixtral":
        # The breaks are words of the vocabulary, which a prompt has among the placeholders of the patches.
        options |= {"views": "native", "row_breaks": "break", "break_ids": _break_ids(tokens)}
        data = {"layout": "native", "size_multiple": encoder.options["patch_size"]}
    paper = "Pixtral, arXiv 2410.07073" if kind == "pixtral" else "LLaVA, arXiv 2304.08485 and 2310.03744"
    return Foreign(
        system=SystemSettings(family="unified", paper=paper, options=options),
        encoder=encoder,
        decoder=decoder,
        image_size=image_size,
        names=[
            *tower,
            *llava_projector.names(connector, "connector.", "multi_modal_projector."),
            *llama.names(decoder, "decoder.", "language_model.model.", "language_model.lm_head.weight"),
        ],
        ignored=("language_model.lm_head.",) if decoder.tie_embeddings else (),
        aliases=ALIASES if kind == "pixtral" else _with_vision_model(ALIASES),
        image_token=content.get("image_token_index", 32000),
        data=data,
    )


_IMAGE_SIZES = {"clip_vision_model": 224, "siglip_vision_model": 224, "pixtral": 1024}


def _tower(vision: dict[str, Any], kind: str) -> tuple[EncoderSettings, list[Joined]]:
    if kind == "pixtral":
        config = pixtral_vision.read_config(vision)
        encoder = EncoderSettings(library="native", name="pixtral", options=asdict(config), weights="random")
        return encoder, list(pixtral_vision.names(config, "encoder.", "vision_tower."))
    if kind not in _IMAGE_SIZES:
        raise ValueError(f"its vision_config has model_type {kind!r}; known are {', '.join(_IMAGE_SIZES)}")
    layout = clip_vision if kind == "clip_vision_model" else siglip_vision
    encoder = layout.read_config(vision)
    return encoder, list(layout.names(encoder, "encoder.", "vision_tower.vision_model."))


def _with_vision_model(aliases: Mapping[str, str]) -> dict[str, str]:
    """Newer files leave a ``vision_model.`` out that older readers need."""
    added = {f"{tower}{part}": f"vision_tower.vision_model.{part}" for tower in _TOWERS for part in _PARTS}
    return {**aliases, "model.vision_tower.vision_model.": "vision_tower.vision_model.", **added}


_TOWERS = ("vision_tower.", "model.vision_tower.")
_PARTS = ("embeddings.", "pre_layrnorm.", "encoder.", "post_layernorm.", "head.")


def _check_tokens(content: dict[str, Any], kind: str) -> None:
    """Which of the tower's tokens are read: CLIP's patches, and all of those that have no class token."""
    wanted = "default" if kind == "clip_vision_model" else "full"
    strategy = content.get("vision_feature_select_strategy", "default")
    if strategy != wanted:
        raise ValueError(
            f"vision_feature_select_strategy is {strategy!r}, but of a {kind} only {wanted!r}, its patches, can be read"
        )


def _break_ids(tokens: Mapping[str, int]) -> list[int]:
    absent = [token for token in _BREAKS if token not in tokens]
    if absent:
        raise ValueError(
            f"its tokenizer.json has no special token {absent[0]}, which stands among the patches: give the folder "
            "with the checkpoint's own tokenizer"
        )
    return [tokens[token] for token in _BREAKS]
