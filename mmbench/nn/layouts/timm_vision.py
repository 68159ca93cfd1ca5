"""Vision Transformers of timm against Hugging Face's vision towers: what CLIP's and SigLIP's have in common."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from mmbench.config.errors import UserError
from mmbench.config.model import EncoderSettings
from mmbench.nn.layouts.text_fields import activation_name, read_activation
from mmbench.nn.layouts.vision import SIGLIP_BLOCK, TIMM_BLOCK, block_names, module_names, whole
from mmbench.nn.tensor_names import Joined
from mmbench.nn.timm_encoder import TimmEncoder

_ACTIVATIONS = {
    "GELU": "gelu",
    "GELUTanh": "gelu_tanh",
    "QuickGELU": "quick_gelu",
    "SiLU": "silu",
    "Swish": "silu",
    "ReLU": "relu",
}
"""Class of an activation in timm or torch -> our name."""


def settings_of(encoder: TimmEncoder, name: str) -> EncoderSettings:
    """The settings of a built encoder with all that the layouts read, also what was a default of the model's name.

    ``depth`` is the number of blocks that `ImageEncoder.keep_layers` has left.

    Raises:
        UserError: its activation has no name here, or its image or patches are not square.
    """
    model = cast(Any, encoder).model
    block = model.blocks[0]
    activation = type(block.mlp.act).__name__
    if activation not in _ACTIVATIONS:
        raise UserError(
            f"encoder '{name}' with activation {activation} cannot be written: only {', '.join(_ACTIVATIONS)}"
        )
    image, patch = model.patch_embed.img_size, model.patch_embed.patch_size
    if image[0] != image[1] or patch[0] != patch[1]:
        raise UserError(f"encoder '{name}' for images of {image} pixels cannot be written: only one for square images")
    return _settings(
        name,
        image_size=image[0],
        patch_size=patch[0],
        dim=encoder.dim,
        depth=len(model.blocks),
        num_heads=block.attn.num_heads,
        width=block.mlp.fc1.out_features,
        activation=_ACTIVATIONS[activation],
        norm_eps=block.norm1.eps,
    )


def read_settings(
    content: Mapping[str, Any], name: str, defaults: Mapping[str, Any], dim: str = "hidden_size"
) -> EncoderSettings:
    """The encoder that a ``vision_config`` describes, as a variant of timm's model ``name``.

    Args:
        content: of the ``vision_config``.
        name: of the model that has the same parts.
        defaults: what the ``vision_config`` leaves out.
        dim: what it calls the width of a token.

    Raises:
        UserError: there is something in it that we do not have.
    """
    content = whole(content, defaults)
    activation = read_activation(content)
    if activation not in _ACTIVATIONS.values():
        raise UserError(f"config.json has hidden_act {content['hidden_act']!r}, which timm does not have")
    return _settings(
        name,
        image_size=content["image_size"],
        patch_size=content["patch_size"],
        dim=content[dim],
        depth=content["num_hidden_layers"],
        num_heads=content["num_attention_heads"],
        width=content["intermediate_size"],
        activation=activation,
        norm_eps=content["layer_norm_eps"],
    )


def write_settings(settings: EncoderSettings, model_type: str, dim: str = "hidden_size") -> dict[str, Any]:
    """What `read_settings` reads."""
    options = settings.options
    return {
        "model_type": model_type,
        dim: options["embed_dim"],
        "intermediate_size": int(options["embed_dim"] * options["mlp_ratio"]),
        "num_hidden_layers": options["depth"],
        "num_attention_heads": options["num_heads"],
        "image_size": options["img_size"],
        "patch_size": options["patch_size"],
        "hidden_act": activation_name(options["act_layer"]),
        "layer_norm_eps": options["norm_eps"],
    }


def tower_names(
    settings: EncoderSettings, ours: str, theirs: str, num_class_tokens: int, final_norm: bool
) -> Iterator[Joined]:
    """Positions, blocks and the last norm; the first of the positions are those of the class tokens."""
    options = settings.options
    dim = options["embed_dim"]
    shape = (num_class_tokens + (options["img_size"] // options["patch_size"]) ** 2, dim)
    yield Joined(f"{ours}pos_embed", (f"{theirs}embeddings.position_embedding.weight",), (), shape, (1, *shape))
    for i in range(options["depth"]):
        yield from block_names(
            TIMM_BLOCK, SIGLIP_BLOCK, {"qkv": dim}, f"{ours}blocks.{i}.", f"{theirs}encoder.layers.{i}."
        )
    if final_norm:
        yield from module_names(f"{ours}norm", f"{theirs}post_layernorm")


def _settings(
    name: str,
    *,
    image_size: int,
    patch_size: int,
    dim: int,
    depth: int,
    num_heads: int,
    width: int,
    activation: str,
    norm_eps: float,
) -> EncoderSettings:
    options = {
        "img_size": image_size,
        "patch_size": patch_size,
        "embed_dim": dim,
        "depth": depth,
        "num_heads": num_heads,
        # timm multiplies and cuts off the fraction: half a unit more, so that it is never one too few.
        "mlp_ratio": width // dim if width % dim == 0 else (width + 0.5) / dim,
        "act_layer": activation,
        "norm_eps": norm_eps,
    }
    return EncoderSettings(library="timm", name=name, options=options, weights="random")
