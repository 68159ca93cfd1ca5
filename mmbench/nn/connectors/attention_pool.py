"""Molmo's pooling: in each window of patches, their mean asks and they answer; then a gated MLP."""

from dataclasses import dataclass

from torch import Tensor, nn

from mmbench.nn.attention import attend
from mmbench.nn.connectors.connector import Connector, Grid
from mmbench.nn.connectors.options import check_positive, width_of_head
from mmbench.nn.connectors.windows import num_windows, windows
from mmbench.nn.feed_forward import FeedForward


class AttentionPoolConnector(Connector):
    """Attention over each 2 x 2 window, whose query is the window's mean (Molmo, arXiv 2409.17146).

    Molmo gives it the outputs of two layers of the encoder joined; it attends in the width of one.
    """

    @dataclass
    class Config(Connector.Config):
        """Options of attention pooling."""

        window: int = 2
        """Rows and columns of patches that become one token."""
        num_heads: int = 8
        """Heads of the attention."""
        attention_width: int | None = None
        """Width of what the attention gives; that of the tokens given to the connector if not given."""
        head_dim: int | None = None
        """Width of a head; ``attention_width`` by ``num_heads`` if not given."""
        hidden_width: int | None = None
        """Inner width of the MLP; the language model's if not given."""

        def __post_init__(self) -> None:
            check_positive(self, "window", "num_heads", "attention_width", "head_dim", "hidden_width")

    def __init__(self, config: Config, in_dim: int, out_dim: int, grid: Grid | None = None) -> None:
        super().__init__(config, in_dim, out_dim, grid)
        self.window = config.window
        width = config.attention_width or in_dim
        self.head_dim = width_of_head(width, config.num_heads, config.head_dim, "the width of the attention")
        inner_dim = config.num_heads * self.head_dim
        self.query = nn.Linear(in_dim, inner_dim)
        self.key_value = nn.Linear(in_dim, 2 * inner_dim)
        self.output = nn.Linear(inner_dim, width)
        self.mlp = FeedForward(width, config.hidden_width or out_dim, out_width=out_dim)

    def num_tokens(self, grid: Grid) -> int:
        """One for each window."""
        return num_windows(grid, self.window, "attention_pool", "window")

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """``[B, N, in_dim]`` to ``[B, N / window ** 2, out_dim]``."""
        batch, num_tokens = len(tokens), self.num_tokens(grid)
        inside = windows(tokens, grid, self.window).flatten(0, 1)  # [B * W, window ** 2, in_dim]
        q = self.query(inside.mean(1)).view(len(inside), -1, 1, self.head_dim)
        k, v = self.key_value(inside).view(len(inside), inside.shape[1], 2, -1, self.head_dim).permute(2, 0, 3, 1, 4)
        out: Tensor = self.mlp(self.output(attend(q, k, v).view(batch, num_tokens, -1)))
        return out
