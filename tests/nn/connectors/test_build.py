"""Every connector by its name: how many tokens it makes, that all of it trains, and what it refuses."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.nn import attention
from mmbench.nn.attention import Kernel
from mmbench.nn.connectors import CONNECTORS, Connector, Grid, build_connector

SMALL: dict[str, dict[str, Any]] = {
    "linear": {},
    "mlp": {},
    "pixel_shuffle": {},
    "perceiver": {"num_latents": 5, "depth": 2, "num_heads": 2},
    "attention_pool": {"num_heads": 2},
    "c_abstractor": {"num_tokens": 4, "depth": 1},
    "query": {"num_queries": 3, "num_heads": 2},
    "merge": {},
}
"""Options of each kind that fit tokens of width 8 and images of 4 x 6 patches."""

NUM_TOKENS = {
    "linear": 24,
    "mlp": 24,
    "pixel_shuffle": 6,
    "perceiver": 5,
    "attention_pool": 6,
    "c_abstractor": 4,
    "query": 3,
    "merge": 6,
}


def small(kind: str, grid: Grid | None = (4, 6), **options: Any) -> Connector:
    torch.manual_seed(0)
    return build_connector(kind, 8, 12, grid, {**SMALL.get(kind, {}), **options})


@pytest.mark.parametrize("kind", CONNECTORS)
def test_number_and_width_of_the_tokens(kind: str) -> None:
    connector = small(kind)
    out = connector(torch.randn(2, 24, 8), (4, 6))
    assert out.shape == (2, NUM_TOKENS[kind], 12)
    assert connector.num_tokens((4, 6)) == NUM_TOKENS[kind]


@pytest.mark.parametrize("kind", CONNECTORS)
def test_each_image_by_itself_and_all_patches_count(kind: str) -> None:
    connector, tokens = small(kind), torch.randn(2, 24, 8)
    both = connector(tokens, (4, 6))
    torch.testing.assert_close(connector(tokens[1:], (4, 6)), both[1:])
    for patch in (0, 23):
        other = tokens.clone()
        other[0, patch] = torch.randn(8)
        changed = connector(other, (4, 6))
        assert not torch.equal(changed[0], both[0])
        torch.testing.assert_close(changed[1], both[1])


@pytest.mark.parametrize("kind", CONNECTORS)
def test_gradients_reach_every_parameter_and_the_encoder(kind: str) -> None:
    connector, tokens = small(kind), torch.randn(2, 24, 8, requires_grad=True)
    # A plain sum would be constant where a norm stands last.
    (connector(tokens, (4, 6)) * torch.randn(12)).square().sum().backward()
    without = [name for name, p in connector.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert tokens.grad is not None and tokens.grad.abs().sum(-1).min() > 0


@pytest.mark.parametrize("kind", CONNECTORS)
def test_other_grids(kind: str) -> None:
    connector = small(kind, None, **({"positions": False} if kind == "c_abstractor" else {}))
    for grid in ((4, 4), (2, 8)):
        out = connector(torch.randn(1, grid[0] * grid[1], 8), grid)
        assert out.shape == (1, connector.num_tokens(grid), 12)


@pytest.mark.parametrize("kernel", ["sdpa", "plain"])
@pytest.mark.parametrize("kind", CONNECTORS)
def test_half_precision_is_near(kind: str, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_kernel", kernel)
    connector, tokens = small(kind), torch.randn(2, 24, 8)
    with torch.autocast("cpu", torch.bfloat16):
        half = connector(tokens, (4, 6))
    expected = connector(tokens, (4, 6))
    assert half.dtype == torch.bfloat16
    assert (half - expected).abs().max() < 0.03 * expected.abs().max()


@pytest.mark.parametrize("kind", CONNECTORS)
def test_no_memory_for_counting(kind: str) -> None:
    with torch.device("meta"):
        counted = small(kind)
    assert sum(p.numel() for p in counted.parameters()) == sum(p.numel() for p in small(kind).parameters())
    assert all(p.is_meta for p in counted.parameters())


@pytest.mark.parametrize("kind", [kind for kind in CONNECTORS if kind != "linear"])
def test_the_width_that_matching_moves(kind: str) -> None:
    def count(width: int) -> int:
        return sum(p.numel() for p in build_connector(kind, 8, 12, (4, 6), SMALL[kind], width).parameters())

    assert count(10) - count(9) == count(9) - count(8) > 0
    assert count(9) == sum(p.numel() for p in small(kind, hidden_width=9).parameters())


@pytest.mark.parametrize(
    ("kind", "grid", "message"),
    [
        ("pixel_shuffle", (4, 5), "joins 2 x 2 patches, but an image has 4 x 5: .* or change the connector's 'factor'"),
        ("merge", (3, 4), "connector 'merge' joins 2 x 2 patches, but an image has 3 x 4"),
        ("attention_pool", (7, 7), "an image has 7 x 7: make the image's sides multiples of 2 patches, or .* 'window'"),
        ("c_abstractor", (1, 9), "pools to 2 x 2 tokens, but an image has 1 x 9 patches: give .* as 1 or less"),
    ],
)
def test_a_grid_that_does_not_fit(kind: str, grid: Grid, message: str) -> None:
    with pytest.raises(UserError, match=message):
        small(kind, grid)
    connector = small(kind)
    with pytest.raises(UserError, match=message):
        connector(torch.randn(1, grid[0] * grid[1], 8), grid)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("mlp", {"hiden_width": 4}, "unknown key 'hiden_width' in .* connector 'mlp'; did you mean 'hidden_width'"),
        ("mlp", {"activation": "swish"}, "'activation' in .* is 'swish'; it must be one of silu, gelu"),
        ("mlp", {"hidden_width": 0}, "'hidden_width' is 0; it must be at least 1"),
        ("perceiver", {"num_heads": 3}, "'num_heads' is 3, which does not divide the encoder's width, 8"),
        ("perceiver", {"depth": 0}, "'depth' is 0"),
        ("attention_pool", {"attention_width": 9}, "'num_heads' is 2, which does not divide .* of the attention, 9"),
        ("query", {"num_heads": 5}, "'num_heads' is 5"),
        ("query", {"queries": {16: 0}}, "'queries' has 16: 0; both must be at least 1"),
        ("c_abstractor", {"num_tokens": 10}, "a square grid: give 9 or 16"),
    ],
)
def test_a_wrong_option(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        small(kind, **options)


@pytest.mark.parametrize(
    ("kind", "options", "width", "message"),
    [
        ("linear", {}, 8, "a linear connector has no inner width: leave the option out"),
        ("mlp", {}, 0, "'connector_width' is 0; it must be at least 1"),
        ("mlp", {"hidden_width": 4}, 8, "'connector_width' is 8, but the connector's 'hidden_width' is given too"),
    ],
)
def test_a_wrong_width(kind: str, options: dict[str, Any], width: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_connector(kind, 8, 12, None, options, width)


def test_positions_need_a_grid() -> None:
    with pytest.raises(UserError, match="'positions: false', or images of one size"):
        small("c_abstractor", None)


def test_an_unknown_kind_names_those_there_are() -> None:
    with pytest.raises(
        UserError, match=r"unknown connector 'mpl'; did you mean 'mlp'\? Known: attention_pool, .*, mlp"
    ):
        build_connector("mpl", 8, 12)


class FirstPatches(Connector):
    """A connector from outside."""

    @dataclass
    class Config(Connector.Config):
        """Its options."""

        kept: int = 2

    def __init__(self, config: Config, in_dim: int, out_dim: int, grid: Grid | None = None) -> None:
        super().__init__(config, in_dim, out_dim, grid)
        self.kept = config.kept
        self.layer = nn.Linear(in_dim, out_dim)

    def num_tokens(self, grid: Grid) -> int:
        return self.kept

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        out: Tensor = self.layer(tokens[:, : self.kept])
        return out


def test_a_connector_from_outside() -> None:
    path = f"{__name__}:FirstPatches"
    connector = small(path, kept=3)
    assert connector(torch.randn(2, 24, 8), (4, 6)).shape == (2, 3, 12)
    with pytest.raises(UserError, match=r"unknown key 'kep' .* did you mean 'kept'"):
        small(path, kep=3)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{__name__}:Absent", "cannot be imported: .*Absent.*; write package.module:Class"),
        ("no_such_package:Class", "cannot be imported"),
        ("torch.nn:Linear", "no subclass of mmbench.nn.connectors.Connector"),
    ],
)
def test_nothing_fit_at_the_import_path(path: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        small(path)
