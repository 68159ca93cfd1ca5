"""From encoder tokens to those of the language model, by a connector that is named in the options."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.families.vision.look import LookOptions, joined_dim, merge_of, token_grid
from mmbench.families.vision.options import refuse_unused
from mmbench.nn.connectors import Connector, Grid, build_connector
from mmbench.nn.image_encoder import ImageEncoder


@dataclass
class ConnectorOptions:
    """Options of how encoder tokens become those of the language model."""

    connector: str = "mlp"
    """A kind of connector (``linear``, ``mlp``, ``pixel_shuffle``, ``perceiver``, …), or the import path
    ``package.module:Class`` of one."""
    connector_width: int | None = None
    """Inner width of a connector that has one; if not given, its own rule."""
    connector_options: dict[str, Any] = field(default_factory=dict)
    """The kind's own options."""


def connector_for(
    options: ConnectorOptions, views: LookOptions, encoder: ImageEncoder, width: int, side: int
) -> tuple[Connector, Grid | None]:
    """The connector, and the grid in which the tokens of a view lie; None where they lie in none.

    Args:
        options: which connector; ``none`` passes the encoder's tokens on.
        views: which layers of which views the tokens are.
        encoder: gives the tokens.
        width: of the tokens that it shall make.
        side: of a view in pixels; 0 where views differ in theirs, or it is not known.

    Raises:
        UserError: there is no such connector, or it does not take such tokens.
    """
    in_dim = joined_dim(encoder, views)
    grid = (side // encoder.patch_size, side // encoder.patch_size) if side else None
    if views.class_token:
        grid = (1, encoder.num_class_tokens + grid[0] * grid[1]) if grid else None
    connector: Connector
    if options.connector == "none":
        refuse_unused(options, ("connector_width", "connector_options"), "there is no connector", "a connector")
        connector = NoConnector(NoConnector.Config(), in_dim, in_dim, grid)
    else:
        own = options.connector_options
        connector = build_connector(options.connector, in_dim, width, grid, own, options.connector_width)
    if connector.out_dim != width:
        raise UserError(
            f"connector '{options.connector}' makes tokens of width {connector.out_dim}, but {width} is asked for: "
            "give one that changes the width (connector: linear), or make its class give tokens of its argument out_dim"
        )
    if views.views == "native":
        _check_native(options, encoder, connector)
    if views.class_token:
        return connector, None
    merge = merge_of(encoder)
    return connector, token_grid(connector, grid or (12 * merge, 12 * merge))


class NoConnector(Connector):
    """The encoder's tokens, as they are."""

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """``[B, N, in_dim]`` to the same."""
        return tokens


def size_step(views: LookOptions, encoder: ImageEncoder, connector: Connector) -> int:
    """The number of pixels of which an image's sides must be multiples, for views and for what a connector joins."""
    share = Fraction(views.thumbnail_factor if views.views == "tiles" else 1).limit_denominator(100)
    for across in range(1, 9):
        try:
            connector.num_tokens((across, across))
        except UserError:
            continue
        return (encoder.patch_size * share * max(across, merge_of(encoder))).numerator
    return (encoder.patch_size * share).numerator


def _check_native(options: ConnectorOptions, encoder: ImageEncoder, connector: Connector) -> None:
    merge = merge_of(encoder)
    for grid in ((merge, merge), (merge, 3 * merge)):
        try:
            connector.num_tokens(grid)
        except UserError as error:
            raise UserError(
                f"connector '{options.connector}' cannot take pictures of every size (views: native), for instance of "
                f"{grid[0]} x {grid[1]} patches: {error}; where it joins neighbours, give the system's own encoder "
                "the option merge: 2"
            ) from error
