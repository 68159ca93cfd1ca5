"""What is particular to each kind of connector."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.nn.connectors import Connector, Grid, build_connector
from mmbench.nn.connectors.merge import MergeConnector


def _built(kind: str, grid: Grid | None = (4, 6), **options: Any) -> Connector:
    torch.manual_seed(0)
    return build_connector(kind, 8, 12, grid, options)


def _tokens() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 24, 8)


@pytest.mark.parametrize(("kind", "options"), [("linear", {}), ("mlp", {"activation": "linear"}), ("mlp", {})])
def test_linear_is_linear_and_mlp_is_not(kind: str, options: dict[str, Any]) -> None:
    connector, tokens = _built(kind, **options), _tokens()
    zero, one, two = (connector(tokens * factor, (4, 6)) for factor in (0, 1, 2))
    assert torch.allclose(two - one, one - zero, atol=1e-5) == (kind == "linear" or "activation" in options)


@pytest.mark.parametrize("kind", ["pixel_shuffle", "merge", "attention_pool"])
def test_a_token_is_made_of_its_own_window(kind: str) -> None:
    connector, tokens = _built(kind), _tokens()
    before = connector(tokens, (4, 6))
    tokens.view(2, 4, 6, 8)[:, 3, 2] += 1  # row 3, column 2: the second row of windows, the second column
    changed = (connector(tokens, (4, 6)) != before).any(-1)
    assert changed.nonzero()[:, 1].tolist() == [4, 4]


def test_pixel_shuffle_joins_a_window_row_by_row() -> None:
    connector = _built("pixel_shuffle", norm=False)
    seen: list[Tensor] = []
    connector.mlp.register_forward_hook(lambda _, given, out: seen.append(given[0]))  # type: ignore[union-attr]
    image = _tokens().view(2, 4, 6, 8)
    connector(image.flatten(1, 2), (4, 6))
    window = torch.cat((image[:, 2, 4], image[:, 2, 5], image[:, 3, 4], image[:, 3, 5]), -1)
    assert torch.equal(seen[0][:, 5], window)


def test_merging_packed_neighbours_equals_merging_rows() -> None:
    connector, tokens = _built("merge"), _tokens()
    assert isinstance(connector, MergeConnector)
    order = torch.arange(24).view(2, 2, 3, 2).transpose(1, 2).flatten()
    packed = tokens[:, order].flatten(0, 1)  # [48, 8]: two images, one after the other
    torch.testing.assert_close(connector.merge(packed), connector(tokens, (4, 6)).flatten(0, 1))


def test_pooled_patches_that_are_alike_give_what_one_gives() -> None:
    connector, tokens = _built("attention_pool", window=2, attention_width=16), _tokens()
    alike = tokens[:, :1].expand(-1, 4, -1)
    torch.testing.assert_close(connector(alike, (2, 2)), connector(tokens[:, :1].repeat(1, 16, 1), (4, 4))[:, :1])
    assert isinstance(connector.output, torch.nn.Linear) and connector.output.out_features == 16


@pytest.mark.parametrize("kind", ["perceiver", "query"])
def test_patches_are_a_set(kind: str) -> None:
    connector, tokens = _built(kind), _tokens()
    torch.testing.assert_close(connector(tokens.flip(1), (4, 6)), connector(tokens, (4, 6)))


def test_a_resampler_in_the_encoders_width_ends_in_no_layer() -> None:
    assert not list(build_connector("perceiver", 8, 8).projection.parameters())
    assert list(build_connector("perceiver", 8, 12).projection.parameters())


def test_larger_images_have_more_queries_and_the_first_are_shared() -> None:
    connector = _built("query", queries={24: 3, 96: 5})
    assert connector.queries.shape == (5, 8)
    assert [connector.num_tokens(grid) for grid in ((4, 6), (6, 4), (8, 12))] == [3, 3, 5]
    with pytest.raises(UserError, match="has queries for 24, 96 patches, but an image has 5 x 5 = 25: add 25 to"):
        connector(torch.randn(1, 25, 8), (5, 5))


def test_the_abstractors_positions_follow_the_grid() -> None:
    connector, tokens = _built("c_abstractor", num_tokens=4, depth=1), _tokens()
    without = _built("c_abstractor", num_tokens=4, depth=1, positions=False)
    state = connector.state_dict()
    positions = state.pop("positions")  # [1, 8, 4, 6]
    without.load_state_dict(state)
    placed = tokens + positions.flatten(2).transpose(1, 2)
    torch.testing.assert_close(connector(tokens, (4, 6)), without(placed, (4, 6)))
    # What is the same at every patch stays the same when it is interpolated for another grid.
    with torch.no_grad():
        connector.positions.copy_(positions[:, :, :1, :1].expand_as(positions))  # type: ignore[operator, union-attr]
    torch.testing.assert_close(connector(tokens, (6, 4)), without(tokens + positions[:, :, 0, 0], (6, 4)))


def test_the_abstractor_sees_what_is_near() -> None:
    connector, tokens = _built("c_abstractor", num_tokens=4, depth=1, positions=False), _tokens()
    mixed = tokens[:, torch.randperm(24)]
    assert (connector(mixed, (4, 6)) - connector(tokens, (4, 6))).abs().max() > 1e-3
