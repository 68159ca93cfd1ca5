"""Two linear layers for every patch."""

from dataclasses import dataclass

from torch import Tensor

from mmbench.nn.connectors.connector import Connector, Grid
from mmbench.nn.connectors.options import check_positive
from mmbench.nn.feed_forward import Activation, FeedForward


class MLPConnector(Connector):
    """LLaVA-1.5 (arXiv 2310.03744), Pixtral (arXiv 2410.07073)."""

    @dataclass
    class Config(Connector.Config):
        """Options of an MLP connector."""

        hidden_width: int | None = None
        """Width between the layers; the language model's if not given."""
        activation: Activation = "gelu"
        """What stands between the layers."""
        bias: bool = True
        """Whether the layers have one."""

        def __post_init__(self) -> None:
            check_positive(self, "hidden_width")

    def __init__(self, config: Config, in_dim: int, out_dim: int, grid: Grid | None = None) -> None:
        super().__init__(config, in_dim, out_dim, grid)
        hidden = config.hidden_width or out_dim
        self.mlp = FeedForward(in_dim, hidden, False, config.activation, config.bias, out_dim)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """``[B, N, in_dim]`` to ``[B, N, out_dim]``."""
        out: Tensor = self.mlp(tokens)
        return out
