"""Aria's projector as a ``query`` connector."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmbench.config.errors import UserError
from mmbench.nn.connectors.query import QueryConnector
from mmbench.nn.tensor_names import Joined

_DEFAULT_QUERIES = {1225: 128, 4900: 256}
_DEFAULT_HEADS = 16  # of idefics3_vision, where nothing is stated


def names(in_dim: int, prefix_ours: str = "", prefix_theirs: str = "") -> Iterator[Joined]:
    """The table of names.

    Args:
        in_dim: the encoder's width.
        prefix_ours: with its dot, where it is not empty.
        prefix_theirs: with its dot, where it is not empty.
    """
    theirs = f"{prefix_theirs}cross_attn."
    yield Joined(f"{prefix_ours}queries", (f"{prefix_theirs}query",))
    yield Joined(f"{prefix_ours}query.weight", (f"{theirs}q_proj.weight",))
    key_value = (f"{theirs}k_proj.weight", f"{theirs}v_proj.weight")
    yield Joined(f"{prefix_ours}key_value.weight", key_value, (in_dim, in_dim))
    for kind in ("weight", "bias"):
        yield Joined(f"{prefix_ours}query_norm.{kind}", (f"{theirs}layer_norm.{kind}",))
        yield Joined(f"{prefix_ours}context_norm.{kind}", (f"{theirs}layer_norm_kv.{kind}",))
        yield Joined(f"{prefix_ours}heads.{kind}", (f"{theirs}multihead_attn.in_proj_{kind}",))
        yield Joined(f"{prefix_ours}joined_heads.{kind}", (f"{theirs}multihead_attn.out_proj.{kind}",))
        yield Joined(f"{prefix_ours}output.{kind}", (f"{theirs}linear.{kind}",))
        yield Joined(f"{prefix_ours}norm.{kind}", (f"{prefix_theirs}layer_norm.{kind}",))
    yield Joined(f"{prefix_ours}mlp.up.weight", (f"{prefix_theirs}feed_forward.linear_in.weight",))
    yield Joined(f"{prefix_ours}mlp.down.weight", (f"{prefix_theirs}feed_forward.linear_out.weight",))


def read_config(content: Mapping[str, Any]) -> QueryConnector.Config:
    """The options in the ``config.json`` of ``aria``."""
    queries = content.get("projector_patch_to_query_dict") or _DEFAULT_QUERIES
    return QueryConnector.Config(
        queries={int(patches): int(num) for patches, num in queries.items()},
        num_heads=(content.get("vision_config") or {}).get("num_attention_heads", _DEFAULT_HEADS),
    )


def write_config(config: QueryConnector.Config) -> dict[str, Any]:
    """What `read_config` reads, but for the encoder's part.

    Raises:
        UserError: the connector has one number of queries for any number of patches, or an inner width of its own.
    """
    if not config.queries or config.hidden_width is not None:
        raise UserError(
            "only a query connector with the option 'queries', without 'hidden_width', can be written as aria"
        )
    return {"projector_patch_to_query_dict": {str(patches): num for patches, num in config.queries.items()}}
