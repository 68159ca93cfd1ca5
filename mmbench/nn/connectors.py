"""Connectors: image tokens of the encoder's width to the width of the language model."""

from collections.abc import Callable

from torch import Tensor, nn

from mmbench.config.errors import UserError, unknown_name


def build_connector(kind: str, in_dim: int, out_dim: int, hidden_width: int | None = None) -> nn.Module:
    """A connector ``[B, N, in_dim] -> [B, N, out_dim]``.

    Args:
        kind: a key of `CONNECTORS`.
        in_dim: width of the encoder's tokens.
        out_dim: width of the language model.
        hidden_width: between the layers of a connector of two; that of the language model if not given.

    Raises:
        UserError: there is no connector of that kind, or it has no such width.
    """
    if kind not in CONNECTORS:
        raise unknown_name("connector", kind, CONNECTORS)
    return CONNECTORS[kind](in_dim, out_dim, hidden_width)


class LinearConnector(nn.Linear):
    """One linear layer (LLaVA, arXiv 2304.08485)."""

    def __init__(self, in_dim: int, out_dim: int, hidden_width: int | None = None) -> None:
        if hidden_width is not None:
            raise UserError(
                f"option 'connector_width' is {hidden_width}, but a linear connector has no inner width: "
                "leave the option out, or give connector: mlp"
            )
        super().__init__(in_dim, out_dim)


class MLPConnector(nn.Module):
    """Two linear layers with a GELU between them (LLaVA-1.5, arXiv 2310.03744)."""

    def __init__(self, in_dim: int, out_dim: int, hidden_width: int | None = None) -> None:
        super().__init__()
        width = out_dim if hidden_width is None else hidden_width
        if width < 1:
            raise UserError(f"option 'connector_width' is {width}; it must be at least 1")
        self.layers = nn.Sequential(nn.Linear(in_dim, width), nn.GELU(), nn.Linear(width, out_dim))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, N, in_dim]`` to ``[B, N, out_dim]``."""
        out: Tensor = self.layers(x)
        return out


CONNECTORS: dict[str, Callable[[int, int, int | None], nn.Module]] = {"linear": LinearConnector, "mlp": MLPConnector}
"""The kinds there are, by the name a system's YAML gives them."""
