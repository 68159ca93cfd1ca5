"""Qwen2-VL's patch merger as a ``merge`` connector."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmbench.config.errors import UserError
from mmbench.nn.connectors.merge import MergeConnector
from mmbench.nn.tensor_names import Joined


def names(prefix_ours: str = "", prefix_theirs: str = "") -> Iterator[Joined]:
    """The table of names; the prefixes end with a dot where they are not empty."""
    for ours, theirs in (("norm", "ln_q"), ("mlp.up", "mlp.0"), ("mlp.down", "mlp.2")):
        for kind in ("weight", "bias"):
            yield Joined(f"{prefix_ours}{ours}.{kind}", (f"{prefix_theirs}{theirs}.{kind}",))


def read_config(content: Mapping[str, Any]) -> MergeConnector.Config:
    """The options in the ``vision_config`` of ``qwen2_vl``."""
    return MergeConnector.Config(factor=content.get("spatial_merge_size", 2))


def write_config(config: MergeConnector.Config) -> dict[str, Any]:
    """What `read_config` reads.

    Raises:
        UserError: the connector has an inner width of its own.
    """
    if config.hidden_width is not None:
        raise UserError("only a merge connector without the option 'hidden_width' can be written as qwen2_vl")
    return {"spatial_merge_size": config.factor}
