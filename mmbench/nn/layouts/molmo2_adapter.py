"""The adapter of ``molmo2`` as an ``attention_pool`` connector.

Hugging Face has Molmo's successor only. The module agrees where windows are whole; Molmo2 pads a grid of odd sides and
leaves the padding out of mean and attention, ours asks for sides that divide.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mmbench.config.errors import UserError
from mmbench.nn.connectors.attention_pool import AttentionPoolConnector
from mmbench.nn.tensor_names import Joined


def names(config: AttentionPoolConnector.Config, prefix_ours: str = "", prefix_theirs: str = "") -> Iterator[Joined]:
    """The table of names, for options as `read_config` gives them; the prefixes end with a dot if not empty."""
    assert config.head_dim is not None and config.hidden_width is not None
    inner_dim = config.num_heads * config.head_dim
    theirs = f"{prefix_theirs}image_pooling_2d."
    for kind in ("weight", "bias"):
        yield Joined(f"{prefix_ours}query.{kind}", (f"{theirs}q_proj.{kind}",))
        key_value = (f"{theirs}k_proj.{kind}", f"{theirs}v_proj.{kind}")
        yield Joined(f"{prefix_ours}key_value.{kind}", key_value, (inner_dim, inner_dim))
        yield Joined(f"{prefix_ours}output.{kind}", (f"{theirs}o_proj.{kind}",))
    gate_up = (f"{prefix_theirs}image_projector.gate_proj.weight", f"{prefix_theirs}image_projector.up_proj.weight")
    yield Joined(f"{prefix_ours}mlp.gate_up.weight", gate_up, (config.hidden_width, config.hidden_width))
    yield Joined(f"{prefix_ours}mlp.down.weight", (f"{prefix_theirs}image_projector.down_proj.weight",))


def read_config(content: Mapping[str, Any]) -> AttentionPoolConnector.Config:
    """The options in an ``adapter_config`` of ``molmo2``; which layers are joined is the encoder's matter.

    Raises:
        UserError: it has something that ours does not.
    """
    for key, only in (
        ("num_key_value_heads", content["num_attention_heads"]),
        ("attention_bias", True),
        ("mlp_bias", False),
        ("hidden_act", "silu"),
    ):
        if content.get(key, only) != only:
            raise UserError(f"config.json has {key} {content[key]!r}, but only {only!r} is supported")
    return AttentionPoolConnector.Config(
        num_heads=content["num_attention_heads"],
        attention_width=content["hidden_size"],
        head_dim=content.get("head_dim") or content["hidden_size"] // content["num_attention_heads"],
        hidden_width=content["intermediate_size"],
    )
