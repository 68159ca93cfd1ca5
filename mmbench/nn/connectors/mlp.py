"""Two linear layers for every patch."""

from dataclasses import dataclass

from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.nn.connectors.connector import Connector, Grid


class MLPConnector(Connector):
    """Two linear layers with a GELU between them (LLaVA-1.5, arXiv 2310.03744)."""

    @dataclass
    class Config(Connector.Config):
        """Options of an MLP connector."""

        hidden_width: int | None = None
        """Width between the layers; the language model's if not given."""
        bias: bool = True
        """Whether the layers have one."""

        def __post_init__(self) -> None:
            if self.hidden_width is not None and self.hidden_width < 1:
                raise UserError(f"option 'hidden_width' is {self.hidden_width}; it must be at least 1")

    def __init__(self, config: Config, in_dim: int, out_dim: int, grid: Grid | None = None) -> None:
        super().__init__(config, in_dim, out_dim, grid)
        width = config.hidden_width or out_dim
        self.layers = nn.Sequential(
            nn.Linear(in_dim, width, bias=config.bias), nn.GELU(), nn.Linear(width, out_dim, bias=config.bias)
        )

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """``[B, N, in_dim]`` to ``[B, N, out_dim]``."""
        out: Tensor = self.layers(tokens)
        return out
