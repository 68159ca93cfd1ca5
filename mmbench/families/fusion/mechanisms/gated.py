"""Gates: each token weighs its own features against the other modality's (gated multimodal unit, arXiv 1702.01992)."""

import torch
from torch import Tensor, nn

from mmbench.families.fusion.mechanisms.mechanism import Mechanism
from mmbench.families.fusion.streams import Streams
from mmbench.nn.pooling import mean_over


class Gated(Mechanism):
    """A gated multimodal unit at each token: its own features, and the mean of the other modality's tokens.

    The paper's unit fuses two vectors, one of each modality; here the first of them is a token's.
    """

    def __init__(self, width: int, num_heads: int, config: Mechanism.Config) -> None:
        super().__init__(width, num_heads, config)
        self.image_unit = GatedUnit(width)
        self.text_unit = GatedUnit(width)

    def forward(self, streams: Streams) -> tuple[Tensor, Tensor]:
        """See `Mechanism.forward`."""
        of_image = mean_over(streams.image, streams.image_mask)[:, None]
        of_text = mean_over(streams.text, streams.text_mask)[:, None]
        return self.image_unit(streams.image, of_text), self.text_unit(streams.text, of_image)


class GatedUnit(nn.Module):
    """``output(z * tanh(own x) + (1 - z) * tanh(other y))`` with gates ``z = sigmoid(gate [x; y])``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = nn.Linear(width, width)
        self.other = nn.Linear(width, width, bias=False)  # a modality that is withheld, all 0, adds nothing
        self.gate = nn.Linear(2 * width, width)
        self.output = nn.Linear(width, width, bias=False)

    def gates(self, x: Tensor, y: Tensor) -> Tensor:
        """``[G, L, D]`` of tokens ``x [G, L, D]`` and the other modality ``y [G, 1, D]``: the share of x's features."""
        logits: Tensor = self.gate(torch.cat([x, y.expand_as(x)], dim=-1))
        return logits.sigmoid()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """``[G, L, D]``, of the same."""
        gates = self.gates(x, y)
        fused: Tensor = self.output(gates * self.own(x).tanh() + (1 - gates) * self.other(y).tanh())
        return fused
