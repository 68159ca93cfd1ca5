"""Connectors by name, or by the import path of one from outside; built from a system's options."""

from collections.abc import Mapping
from typing import Any

from mmbench.config.errors import UserError
from mmbench.config.import_path import class_called
from mmbench.config.tree import built, checked, fields_of
from mmbench.nn.connectors.connector import Connector, Grid

CONNECTORS = {
    "linear": "mmbench.nn.connectors.linear:LinearConnector",
    "mlp": "mmbench.nn.connectors.mlp:MLPConnector",
    "pixel_shuffle": "mmbench.nn.connectors.pixel_shuffle:PixelShuffleConnector",
    "perceiver": "mmbench.nn.connectors.perceiver:PerceiverConnector",
    "attention_pool": "mmbench.nn.connectors.attention_pool:AttentionPoolConnector",
    "c_abstractor": "mmbench.nn.connectors.c_abstractor:CAbstractorConnector",
    "query": "mmbench.nn.connectors.query:QueryConnector",
    "merge": "mmbench.nn.connectors.merge:MergeConnector",
}
"""The kinds there are, by the name a system's YAML gives them. Each is imported when it is asked for."""

INNER_WIDTH = "hidden_width"
"""The option that says how wide a connector is inside, which ``connector_width`` of a family sets."""


def build_connector(
    kind: str,
    in_dim: int,
    out_dim: int,
    grid: Grid | None = None,
    options: Mapping[str, Any] | None = None,
    connector_width: int | None = None,
) -> Connector:
    """A connector ``[B, N, in_dim] -> [B, M, out_dim]``.

    Args:
        kind: a key of `CONNECTORS`, or the import path ``package.module:Class`` of a `Connector` from outside.
        in_dim: width of the encoder's tokens, or of several layers' outputs joined.
        out_dim: width of the language model.
        grid: rows and columns of patches, where all images have the same; it is checked here and not hours later.
        options: fields of the kind's ``Config``.
        connector_width: sets the option ``hidden_width``, where the kind has it.

    Raises:
        UserError: there is no connector of that kind, it has no such option or width, or does not take such a grid.
    """
    found = connector_class(kind)
    chosen = {**(options or {}), **_inner_width(kind, found, options or {}, connector_width)}
    config = built(checked(chosen, found.Config, "", f"the options of connector '{kind}'"), found.Config)
    connector = found(config, in_dim, out_dim, grid)
    if grid is not None:
        connector.num_tokens(grid)
    return connector


def connector_class(kind: str) -> type[Connector]:
    """The class of a kind.

    Raises:
        UserError: no connector has that name, or nothing that is a `Connector` stands at the import path.
    """
    return class_called(kind, CONNECTORS, Connector, "connector", "mmbench.nn.connectors.Connector")


def _inner_width(
    kind: str, found: type[Connector], options: Mapping[str, Any], connector_width: int | None
) -> dict[str, int]:
    if connector_width is None:
        return {}
    if INNER_WIDTH not in fields_of(found.Config):
        raise UserError(
            f"option 'connector_width' is {connector_width}, but a {kind} connector has no inner width: "
            "leave the option out, or give connector: mlp"
        )
    if INNER_WIDTH in options:
        raise UserError(
            f"option 'connector_width' is {connector_width}, but the connector's '{INNER_WIDTH}' is given too: "
            "leave one of them out"
        )
    if connector_width < 1:
        raise UserError(f"option 'connector_width' is {connector_width}; it must be at least 1")
    return {INNER_WIDTH: connector_width}
