"""Llama 3.2 Vision's vision tower (``mllama``; arXiv 2407.21783, section 7) as a `TiledEncoder`."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmbench.nn.layouts.text_fields import activation_name, read_activation
from mmbench.nn.layouts.vision import OUR_BLOCK, block_names, module_names, whole, written
from mmbench.nn.tensor_names import Joined
from mmbench.nn.tiled_encoder import TiledEncoder

MLLAMA = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_global_layers": 8,
    "attention_heads": 16,
    "image_size": 448,
    "patch_size": 14,
    "hidden_act": "gelu",
    "norm_eps": 1e-5,
    "max_num_tiles": 4,
    "intermediate_layers_indices": [3, 7, 15, 23, 30],
    "supported_aspect_ratios": None,
}
"""What a ``vision_config`` leaves out means this; without aspect ratios, all of so many tiles."""

_BLOCK = {
    "norm1": ("input_layernorm",),
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "output": ("self_attn.o_proj",),
    "norm2": ("post_attention_layernorm",),
    "up": ("mlp.fc1",),
    "down": ("mlp.fc2",),
}

_TILE_EMBEDDINGS = {
    "tile_positions": ("pre_tile_positional_embedding", "embedding"),
    "positions_in_tiles": ("gated_positional_embedding", "tile_embedding"),
    "global_tile_positions": ("post_tile_positional_embedding", "embedding"),
}


def names(config: TiledEncoder.Config, prefix_ours: str = "", prefix_theirs: str = "") -> Iterator[Joined]:
    """The table of names; the prefixes end with their dot."""
    ours, theirs = prefix_ours, prefix_theirs
    yield Joined(f"{ours}class_token", (f"{theirs}class_embedding",))
    yield Joined(f"{ours}positions", (f"{theirs}gated_positional_embedding.embedding",))
    yield from module_names(f"{ours}patches", f"{theirs}patch_embedding", bias=False)
    for name, (module, embedding) in _TILE_EMBEDDINGS.items():
        yield Joined(f"{ours}{name}.gate", (f"{theirs}{module}.gate",))
        yield from module_names(f"{ours}{name}.embedding", f"{theirs}{module}.{embedding}", bias=False)
    yield from module_names(f"{ours}norm_pre", f"{theirs}layernorm_pre")
    yield from module_names(f"{ours}norm", f"{theirs}layernorm_post")
    stacks = (
        ("blocks", "transformer", config.depth),
        ("global_blocks", "global_transformer", config.num_global_layers),
    )
    for our_stack, their_stack, depth in stacks:
        for i in range(depth):
            block, layer = f"{ours}{our_stack}.{i}.", f"{theirs}{their_stack}.layers.{i}."
            yield from block_names(OUR_BLOCK, _BLOCK, {"qkv": config.dim}, block, layer, ("qkv", "output"))
            if our_stack == "global_blocks":
                yield Joined(f"{block}attention_gate", (f"{layer}gate_attn",))
                yield Joined(f"{block}feed_forward_gate", (f"{layer}gate_ffn",))


def read_config(content: Mapping[str, Any]) -> TiledEncoder.Config:
    """The encoder that a ``vision_config`` of ``mllama`` describes.

    Raises:
        UserError: there is something in it that we do not have.
    """
    content = whole(content, MLLAMA)
    return TiledEncoder.Config(
        dim=content["hidden_size"],
        depth=content["num_hidden_layers"],
        num_global_layers=content["num_global_layers"],
        num_heads=content["attention_heads"],
        feed_forward_width=content["intermediate_size"],
        activation=read_activation(content),
        patch_size=content["patch_size"],
        tile_size=content["image_size"],
        max_num_tiles=content["max_num_tiles"],
        grids=[list(grid) for grid in content["supported_aspect_ratios"] or []],
        # Theirs count the blocks' outputs from 0; ours from 1, since 0 is what enters the first block.
        intermediate_layers=[
            index % content["num_hidden_layers"] + 1 for index in content["intermediate_layers_indices"]
        ],
        norm_eps=content["norm_eps"],
    )


def write_config(config: TiledEncoder.Config) -> dict[str, Any]:
    """What `read_config` reads.

    Raises:
        UserError: the format cannot say all that the encoder is.
    """
    content = {
        "model_type": "mllama_vision_model",
        "hidden_size": config.dim,
        "intermediate_size": config.feed_forward_width,
        "num_hidden_layers": config.depth,
        "num_global_layers": config.num_global_layers,
        "attention_heads": config.num_heads,
        "image_size": config.tile_size,
        "patch_size": config.patch_size,
        "hidden_act": activation_name(config.activation),
        "norm_eps": config.norm_eps,
        "max_num_tiles": config.max_num_tiles,
        "supported_aspect_ratios": config.grids,
        "intermediate_layers_indices": [layer - 1 for layer in config.intermediate_layers],
        "vision_output_dim": config.dim * (1 + len(config.intermediate_layers)),
    }
    return written(content, read_config, config)
