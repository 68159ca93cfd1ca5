"""Projectors of one layer as ``linear`` connectors: that of ``mllama``, and of ``fuyu`` on raw patches."""

from collections.abc import Iterator

from mmbench.nn.connectors.linear import LinearConnector
from mmbench.nn.tensor_names import Joined


def names(config: LinearConnector.Config, prefix_ours: str, prefix_theirs: str) -> Iterator[Joined]:
    """The table of names.

    Args:
        config: of the connector.
        prefix_ours: with its dot, where it is not empty.
        prefix_theirs: ends with the layer's name and a dot (``multi_modal_projector.``, ``vision_embed_tokens.``).
    """
    for kind in ("weight", "bias")[: 1 + config.bias]:
        yield Joined(f"{prefix_ours}projection.{kind}", (f"{prefix_theirs}{kind}",))
