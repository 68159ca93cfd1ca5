"""Connectors: image tokens of the encoder's width to the width of the language model."""

from collections.abc import Callable

from torch import Tensor, nn

from mmbench.config.errors import unknown_name


def build_connector(kind: str, in_dim: int, out_dim: int) -> nn.Module:
    """A connector ``[B, N, in_dim] -> [B, N, out_dim]``.

    Raises:
        UserError: there is no connector of that kind.
    """
    if kind not in CONNECTORS:
        raise unknown_name("connector", kind, CONNECTORS)
    return CONNECTORS[kind](in_dim, out_dim)


class LinearConnector(nn.Linear):
    """One linear layer (LLaVA, arXiv 2304.08485)."""


class MLPConnector(nn.Module):
    """Two linear layers with a GELU between them (LLaVA-1.5, arXiv 2310.03744)."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_dim, out_dim), nn.GELU(), nn.Linear(out_dim, out_dim))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, N, in_dim]`` to ``[B, N, out_dim]``."""
        out: Tensor = self.layers(x)
        return out


CONNECTORS: dict[str, Callable[[int, int], nn.Module]] = {"linear": LinearConnector, "mlp": MLPConnector}
"""The kinds there are, by the name a system's YAML gives them."""
