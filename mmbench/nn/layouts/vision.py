"""What the layouts of Hugging Face's vision towers share: the names of a pre-norm Transformer's blocks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from mmbench.config.errors import UserError
from mmbench.nn.native_encoder import NativeEncoder
from mmbench.nn.tensor_names import Joined
from mmbench.nn.tiled_encoder import TiledEncoder

Config = TypeVar("Config", NativeEncoder.Config, TiledEncoder.Config)

TIMM_BLOCK = {
    "norm1": "norm1",
    "qkv": "attn.qkv",
    "output": "attn.proj",
    "norm2": "norm2",
    "up": "mlp.fc1",
    "down": "mlp.fc2",
}
"""Part of a block -> its name in a Vision Transformer of timm."""

OUR_BLOCK = {
    "norm1": "norm1",
    "qkv": "query_key_value",
    "output": "output",
    "norm2": "norm2",
    "up": "feed_forward.up",
    "gate_up": "feed_forward.gate_up",
    "down": "feed_forward.down",
}
"""Part of a block -> its name in a `VisionBlock`."""

SIGLIP_BLOCK = {
    "norm1": ("layer_norm1",),
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "output": ("self_attn.out_proj",),
    "norm2": ("layer_norm2",),
    "up": ("mlp.fc1",),
    "down": ("mlp.fc2",),
}
"""Part of a block -> the names that make it in ``clip``, ``siglip``, ``idefics`` and ``idefics3_vision``."""


def block_names(
    ours: Mapping[str, str],
    theirs: Mapping[str, tuple[str, ...]],
    rows: Mapping[str, int],
    prefix_ours: str,
    prefix_theirs: str,
    without_bias: tuple[str, ...] = (),
) -> Iterator[Joined]:
    """The tensors of one block.

    Args:
        ours: part -> our name.
        theirs: part -> the names of theirs that ours joins.
        rows: part -> rows of each of theirs, for those that are joined.
        prefix_ours: of our names, with its dot.
        prefix_theirs: of theirs, with its dot.
        without_bias: the parts that have none.
    """
    for part, names in theirs.items():
        sizes = (rows[part],) * len(names) if len(names) > 1 else ()
        for kind in ("weight", "bias")[: 1 + (part not in without_bias)]:
            joined = tuple(f"{prefix_theirs}{name}.{kind}" for name in names)
            yield Joined(f"{prefix_ours}{ours[part]}.{kind}", joined, sizes)


def module_names(ours: str, theirs: str, bias: bool = True) -> Iterator[Joined]:
    """The weight, and the bias if there is one, of a module that is the same in both."""
    for kind in ("weight", "bias")[: 1 + bias]:
        yield Joined(f"{ours}.{kind}", (f"{theirs}.{kind}",))


def whole(content: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A ``vision_config`` with what it leaves out; files state only what differs from their format's defaults.

    Raises:
        UserError: sizes are not the same for both sides, or images do not have three channels.
    """
    content = {**defaults, **content}
    for key in ("image_size", "patch_size"):
        if not isinstance(content.get(key, 1), int):
            raise UserError(f"config.json has {key} {content[key]}, but only one number, for both sides, is supported")
    channels = content.get("num_channels", content.get("in_channels", 3))
    if channels != 3:
        raise UserError(f"config.json has images of {channels} channels, but only 3 are supported")
    return content


def written(content: dict[str, Any], read_config: Callable[[dict[str, Any]], Config], config: Config) -> dict[str, Any]:
    """A ``vision_config``, once it is sure that reading it gives the same encoder.

    Raises:
        UserError: it does not, since the encoder has something that the format cannot say.
    """
    given, read = asdict(config), asdict(read_config(content))
    different = [key for key in given if given[key] != read[key]]
    if different:
        raise UserError(
            f"the encoder's option {different[0]} is {given[different[0]]}, but in '{content['model_type']}' it can "
            f"only be {read[different[0]]}: the system cannot be written in this format"
        )
    return content
