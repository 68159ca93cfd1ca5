"""Concatenation: both streams stand in one sequence (VisualBERT, arXiv 1908.03557; METER, arXiv 2111.02387)."""

from torch import Tensor

from mmbench.families.fusion.mechanisms.mechanism import Attention, Mechanism
from mmbench.families.fusion.streams import Streams


class Concat(Mechanism):
    """One self-attention reads the joined sequence: each token finds both modalities with the same weights."""

    def __init__(self, width: int, num_heads: int, config: Mechanism.Config) -> None:
        super().__init__(width, num_heads, config)
        self.attention = Attention(width, num_heads)

    def forward(self, streams: Streams) -> tuple[Tensor, Tensor]:
        """See `Mechanism.forward`."""
        sequence, mask = streams.joined()
        return streams.parted(self.attention(sequence, sequence, mask))
