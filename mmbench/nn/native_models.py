"""The image encoders of mmbench itself, by name."""

from collections.abc import Mapping
from typing import Any, TypeVar

from safetensors.torch import load_file

from mmbench.config.errors import UserError, unknown_name
from mmbench.config.model import EncoderSettings
from mmbench.config.tree import built, checked
from mmbench.nn.image_encoder import NOT_LOADED, ImageEncoder, local_file, no_weights
from mmbench.nn.native_encoder import NativeEncoder
from mmbench.nn.tiled_encoder import TiledEncoder

Config = TypeVar("Config", NativeEncoder.Config, TiledEncoder.Config)

NATIVE: dict[str, dict[str, Any]] = {
    "pixtral": {},
    "qwen2-vl": {
        "norm": "layer",
        "norm_eps": 1e-6,
        "norm_pre": False,
        "gated": False,
        "activation": "quick_gelu",
        "bias": True,
        "temporal_patch": 2,
        "frequencies": "shared",
        "merge": 2,
    },
    "aria": {
        "norm": "layer",
        "norm_eps": 1e-6,
        "norm_pre": False,
        "norm_post": True,
        "gated": False,
        "activation": "gelu_tanh",
        "bias": True,
        "patch_bias": True,
        "position_buckets": 70,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    },
}
"""What makes a `NativeEncoder` each of them; the settings' options come on top."""


def build_native(settings: EncoderSettings, image_size: int) -> ImageEncoder:
    """An encoder of mmbench itself; the options are fields of its ``Config``.

    Raises:
        UserError: as `build_encoder`.
    """
    if settings.name != "mllama" and settings.name not in NATIVE:
        raise unknown_name("native encoder", settings.name, [*NATIVE, "mllama"])
    encoder: ImageEncoder
    if settings.name == "mllama":
        encoder = TiledEncoder(_config({"tile_size": image_size}, settings, TiledEncoder.Config))
    else:
        encoder = NativeEncoder(_config(NATIVE[settings.name], settings, NativeEncoder.Config))
    if settings.weights not in NOT_LOADED:
        _load(encoder, settings)
    return encoder


def _config(usual: Mapping[str, Any], settings: EncoderSettings, kind: type[Config]) -> Config:
    where = f"the options of encoder '{settings.name}'"
    return built(dict(usual) | checked(settings.options, kind, "", where), kind)


def _load(encoder: ImageEncoder, settings: EncoderSettings) -> None:
    if settings.weights == "pretrained":
        raise UserError(
            f"encoder '{settings.name}' has no weights of its own on any hub: set encoder.weights to the path of a "
            "safetensors file, or to 'contrastive' or 'random'"
        )
    path = local_file(settings)
    try:
        encoder.load_state_dict(load_file(path))
    except Exception as error:
        # A file of another kind, a damaged one, or one of other sizes: each has its own exception.
        raise no_weights(settings, error) from error
