"""Connectors by their names."""

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.nn.connectors import CONNECTORS, build_connector


@pytest.mark.parametrize(("kind", "num_parameters"), [("linear", 8 * 12 + 12), ("mlp", 8 * 12 + 12 + 12 * 12 + 12)])
def test_kinds(kind: str, num_parameters: int) -> None:
    connector = build_connector(kind, 8, 12, (1, 5))
    assert connector(torch.randn(2, 5, 8), (1, 5)).shape == (2, 5, 12)
    assert sum(p.numel() for p in connector.parameters()) == num_parameters


def test_linear_is_linear_and_mlp_is_not() -> None:
    x = torch.randn(1, 1, 8)
    for kind in CONNECTORS:
        connector = build_connector(kind, 8, 12, (1, 5))
        zero, one, two = (connector(x * factor, (1, 1)) for factor in (0, 1, 2))
        assert torch.allclose(two - one, one - zero, atol=1e-5) == (kind == "linear")


def test_unknown_kind_names_those_there_are() -> None:
    with pytest.raises(UserError, match=r"unknown connector 'mpl'; did you mean 'mlp'\? Known: linear, mlp"):
        build_connector("mpl", 8, 12)
