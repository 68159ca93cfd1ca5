"""A system that was put together here, of an encoder, a connector and a language model, as a ``llava`` checkpoint."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.data.tokenizer import TextTokenizer
from mmbench.families.family import Family
from mmbench.families.unified import Unified
from mmbench.interchange.exporting import merged_state
from mmbench.interchange.preprocessing import IMAGE_PROCESSOR
from mmbench.interchange.special_tokens import TOKENIZER
from mmbench.interchange.whole_folder import refuse_existing, whole_folder
from mmbench.nn.checkpoint_files import write_checkpoint
from mmbench.nn.connectors.linear import LinearConnector
from mmbench.nn.connectors.mlp import MLPConnector
from mmbench.nn.layouts import clip_vision, llama, llava_projector
from mmbench.nn.layouts.timm_vision import settings_of
from mmbench.nn.tensor_names import Joined, to_theirs
from mmbench.nn.timm_encoder import TimmEncoder

_TOWER = "vision_tower.vision_model."


def export_as_llava(
    family: Family, target: Path, image_token: int | None, tokenizer: TextTokenizer | None = None
) -> None:
    """Write a folder that transformers reads as ``llava``; a connector of one layer gets the identity as its second.

    It is written whole or not at all. What retrieval by embedding needs has no place there, and is left out.

    Args:
        family: LLaVA's parts: layers of a CLIP tower, a connector of one or two layers, a Llama.
        target: the folder to be written.
        image_token: id of the tokenizer's token for the image; None: it has none.
        tokenizer: goes along where it is given.

    Raises:
        UserError: the system is none that ``llava`` can say, or ``target`` is there already.
    """
    refuse_existing(target)
    if not isinstance(family, Unified) or not isinstance(family.encoder, TimmEncoder):
        raise _not_llava("its family is not 'unified', or its encoder no CLIP tower of timm")
    if image_token is None:
        raise _not_llava("its tokenizer has no token '<image>', which stands for the image in llava's prompts")
    _check_options(family.config)
    state = merged_state(family)
    tower, tower_names = _tower(family.encoder, state)
    projector, connector = _projector(family, state)
    decoder = family.decoder.config
    text = llama.write_config(decoder)
    if llama.read_config(text) != decoder:
        raise _not_llava("its language model is none of the types llama, mistral and qwen2")
    text_names = llama.names(decoder, "decoder.", "language_model.model.", "language_model.lm_head.weight")
    tensors = to_theirs(state, [*tower_names, *text_names]) | connector | _unread_norm(family.encoder.dim)
    layers_read = [family.encoder.layer_number(layer) for layer in family.config.layers]
    content = {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "dtype": str(state["decoder.embedding.weight"].dtype).removeprefix("torch."),
        "image_token_index": image_token,
        "text_config": text,
        "tie_word_embeddings": decoder.tie_embeddings,
        "vision_config": tower,
        "vision_feature_layer": layers_read[0] if len(layers_read) == 1 else layers_read,
        "vision_feature_select_strategy": "default",
        **projector,
    }
    pixels = json.dumps(_pixels(family.encoder, tower["image_size"]), indent=2)
    with whole_folder(target) as folder:
        write_checkpoint(folder, content, tensors)
        (folder / IMAGE_PROCESSOR).write_text(pixels + "\n", encoding="utf-8")
        if tokenizer is not None:
            tokenizer.save(folder / TOKENIZER)


def _not_llava(why: str) -> UserError:
    return UserError(
        f"the system cannot be written as llava: {why}; its weights stay where they are, to be scored here"
    )


def _check_options(config: Unified.Config) -> None:
    """The image is one square of patches of named layers, and nothing stands among or around its tokens."""
    usual, only = Unified.Config(), ("encoder", "connector", "connector_width", "connector_options", "layers")
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name not in only and value != getattr(usual, field.name):
            raise _not_llava(f"it has the option {field.name}: {value}, and llava has no such thing")
    if not config.layers:
        raise _not_llava("it reads the encoder's last norm, and llava the output of a layer (option layers: [-2])")


def _tower(encoder: TimmEncoder, state: Mapping[str, Tensor]) -> tuple[dict[str, Any], list[Joined]]:
    settings = settings_of(encoder, "of the system")
    names = list(clip_vision.names(settings, "encoder.", _TOWER, final_norm=False))
    here, there = {name for name in state if name.startswith("encoder.")}, {name.ours for name in names}
    if here != there:
        which = min(here ^ there).removeprefix("encoder.")
        raise _not_llava(f"its encoder is built otherwise than CLIP's tower, which shows in '{which}'")
    return clip_vision.write_config(settings), names


def _unread_norm(dim: int) -> dict[str, Tensor]:
    """The tower's last norm, which LLaVA does not read and a file must have nevertheless."""
    return {f"{_TOWER}post_layernorm.weight": torch.ones(dim), f"{_TOWER}post_layernorm.bias": torch.zeros(dim)}


def _projector(family: Unified, state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What ``config.json`` says of the connector, and its tensors."""
    options = dict(family.config.connector_options)
    if isinstance(family.connector, LinearConnector):
        one, prefix = LinearConnector.Config(**options), "multi_modal_projector."
        layers = llava_projector.as_two_layers(state, "connector.")
        two = MLPConnector.Config(activation="linear", bias=one.bias)
        return llava_projector.write_config(one), to_theirs(layers, llava_projector.names(two, "connector.", prefix))
    if isinstance(family.connector, MLPConnector):
        width = options.pop("hidden_width", family.config.connector_width)
        two = MLPConnector.Config(**options, hidden_width=None if width == family.decoder.config.width else width)
        names = llava_projector.names(two, "connector.", "multi_modal_projector.")
        return llava_projector.write_config(two), to_theirs(state, names)
    raise _not_llava(f"its connector is '{family.config.connector}', and llava's has one or two layers")


def _pixels(encoder: TimmEncoder, image_size: int) -> dict[str, Any]:
    """What is done to a picture before the tower reads it."""
    square = {"height": image_size, "width": image_size}
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": square,
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": encoder.mean.flatten().tolist(),
        "image_std": encoder.std.flatten().tolist(),
    }
