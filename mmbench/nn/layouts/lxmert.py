"""Names of Hugging Face's ``lxmert``: a cross-modality layer (``LxmertXLayer``) against a `CoAttentionBlock`."""

from collections.abc import Iterator
from typing import Any

from mmbench.nn.co_attention import CoAttentionBlock
from mmbench.nn.tensor_names import Joined

_ATTENTIONS = {
    "text_cross": ("visual_attention.att", "visual_attention.output"),
    "text_self": ("lang_self_att.self", "lang_self_att.output"),
    "image_self": ("visn_self_att.self", "visn_self_att.output"),
}
_FEED_FORWARDS = {
    "text_feed_forward": ("lang_inter", "lang_output"),
    "image_feed_forward": ("visn_inter", "visn_output"),
}


def names(config: CoAttentionBlock.Config, prefix_ours: str = "", prefix_theirs: str = "") -> Iterator[Joined]:
    """The tensors of one layer; the prefixes end with a dot where they are not empty."""
    for ours, (attention, output) in _ATTENTIONS.items():
        for kind in ("weight", "bias"):
            key_value = tuple(f"{prefix_theirs}{attention}.{part}.{kind}" for part in ("key", "value"))
            yield Joined(f"{prefix_ours}{ours}.query.{kind}", (f"{prefix_theirs}{attention}.query.{kind}",))
            yield Joined(f"{prefix_ours}{ours}.key_value.{kind}", key_value, (config.width, config.width))
            yield Joined(f"{prefix_ours}{ours}.output.{kind}", (f"{prefix_theirs}{output}.dense.{kind}",))
            yield Joined(f"{prefix_ours}{ours}.norm.{kind}", (f"{prefix_theirs}{output}.LayerNorm.{kind}",))
    for ours, (inner, output) in _FEED_FORWARDS.items():
        for kind in ("weight", "bias"):
            yield Joined(f"{prefix_ours}{ours}.up.{kind}", (f"{prefix_theirs}{inner}.dense.{kind}",))
            yield Joined(f"{prefix_ours}{ours}.down.{kind}", (f"{prefix_theirs}{output}.dense.{kind}",))
            yield Joined(f"{prefix_ours}{ours}.norm.{kind}", (f"{prefix_theirs}{output}.LayerNorm.{kind}",))


def read_config(content: dict[str, Any]) -> CoAttentionBlock.Config:
    """The sizes in a ``config.json`` of type ``lxmert``, whose layers have one cross-attention for both directions.

    Raises:
        ValueError: its activation is another than GELU.
    """
    if content["hidden_act"] != "gelu":
        raise ValueError(f"hidden_act is '{content['hidden_act']}', but co-attention blocks have 'gelu' alone")
    return CoAttentionBlock.Config(
        width=content["hidden_size"],
        num_heads=content["num_attention_heads"],
        feed_forward_width=content["intermediate_size"],
        shared_directions=True,
    )


def write_config(config: CoAttentionBlock.Config) -> dict[str, Any]:
    """What `read_config` reads.

    Raises:
        ValueError: the block has a cross-attention for each direction, or in one direction alone.
    """
    if not config.shared_directions:
        raise ValueError("lxmert has one cross-attention for both directions: set shared_directions")
    return {
        "hidden_act": "gelu",
        "hidden_size": config.width,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.feed_forward_width,
    }
