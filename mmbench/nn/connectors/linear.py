"""One linear layer for every patch."""

from dataclasses import dataclass

from torch import Tensor, nn

from mmbench.nn.connectors.connector import Connector, Grid


class LinearConnector(Connector):
    """LLaVA (arXiv 2304.08485), Fuyu on raw patches, Llama 3.2 Vision on the outputs of several layers joined."""

    @dataclass
    class Config(Connector.Config):
        """Options of a linear connector."""

        bias: bool = True
        """Whether the layer has one."""

    def __init__(self, config: Config, in_dim: int, out_dim: int, grid: Grid | None = None) -> None:
        super().__init__(config, in_dim, out_dim, grid)
        self.projection = nn.Linear(in_dim, out_dim, bias=config.bias)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """``[B, N, in_dim]`` to ``[B, N, out_dim]``."""
        out: Tensor = self.projection(tokens)
        return out
