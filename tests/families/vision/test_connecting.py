"""The connector that the options name, and what is refused before anything trains."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.families.vision.connecting import ConnectorOptions, connector_for, size_step
from mmbench.families.vision.look import LookOptions
from mmbench.nn.connectors import Connector, Grid
from tests.families.vision.pictures import patches


class Narrow(Connector):
    """A connector from outside that forgets what width it was asked for."""

    @dataclass
    class Config(Connector.Config):
        """None."""

    def __init__(self, config: Config, in_dim: int, out_dim: int, grid: Grid | None = None) -> None:
        super().__init__(config, in_dim, 5, grid)
        self.layer = nn.Linear(in_dim, 5)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """``[B, N, in_dim]`` to ``[B, N, 5]``."""
        out: Tensor = self.layer(tokens)
        return out


def test_connector_and_grid_of_its_tokens() -> None:
    encoder = patches()
    connector, grid = connector_for(ConnectorOptions("pixel_shuffle"), LookOptions(), encoder, 8, 48)
    assert grid == (2, 2)
    assert connector(torch.randn(1, 16, encoder.dim), (4, 4)).shape == (1, 4, 8)
    none, grid = connector_for(ConnectorOptions("none"), LookOptions(), encoder, encoder.dim, 48)
    assert (none.out_dim, grid) == (encoder.dim, (4, 4))


@pytest.mark.parametrize(
    ("options", "views", "side", "message"),
    [
        (ConnectorOptions(f"{__name__}:Narrow"), LookOptions(), 48, "makes tokens of width 5, but 8 is asked for"),
        (ConnectorOptions("pixel_shuffle"), LookOptions(), 36, "joins 2 x 2 patches, but an image has 3 x 3"),
        (
            ConnectorOptions("none", connector_width=4),
            LookOptions(),
            48,
            "'connector_width' is 4, but there is no conn",
        ),
        (ConnectorOptions("mlp", connector_options={"widht": 3}), LookOptions(), 48, "'widht'.*connector 'mlp'"),
        (ConnectorOptions("merge"), LookOptions(views="native"), 0, "views: native.*1 x 1 patches.*merge: 2"),
        (ConnectorOptions("c_abstractor"), LookOptions(views="native"), 0, "positions: false"),
    ],
)
def test_what_does_not_fit(options: ConnectorOptions, views: LookOptions, side: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        connector_for(options, views, patches(), 8, side)


@pytest.mark.parametrize(
    ("kind", "views", "step"),
    [
        ("mlp", LookOptions(), 12),
        ("pixel_shuffle", LookOptions(), 24),
        ("pixel_shuffle", LookOptions(views="tiles"), 48),
        ("mlp", LookOptions(views="tiles", thumbnail_factor=3), 36),
        ("pixel_shuffle", LookOptions(views="tiles", thumbnail_factor=1.75), 42),
    ],
)
def test_sides_that_an_image_may_have(kind: str, views: LookOptions, step: int) -> None:
    connector, _ = connector_for(ConnectorOptions(kind), views, patches(), 8, 0)
    assert size_step(views, patches(), connector) == step
