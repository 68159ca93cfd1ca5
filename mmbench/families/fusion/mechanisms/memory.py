"""Memory: both streams write into a few slots and read from them (memory networks, arXiv 1503.08895)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.families.fusion.mechanisms.mechanism import Attention, Mechanism
from mmbench.families.fusion.streams import Streams


class Memory(Mechanism):
    """Nothing passes from one modality to the other but through slots that begin as learned vectors.

    In each of several hops the slots attend to the tokens of both streams, looking with what they hold by then, as in
    the paper; then each token attends to the slots. Such slots are also the bottleneck of arXiv 2107.00135.
    """

    @dataclass
    class Config(Mechanism.Config):
        """The memory's size."""

        slots: int = 8
        """Vectors that the memory holds."""
        hops: int = 2
        """How often the slots look at the streams before they are read; all hops have the same weights."""

    def __init__(self, width: int, num_heads: int, config: Config) -> None:
        super().__init__(width, num_heads, config)
        for name, value in (("slots", config.slots), ("hops", config.hops)):
            if value < 1:
                raise UserError(f"option '{name}' is {value}; it must be at least 1")
        self.hops = config.hops
        self.slots = nn.Parameter(torch.randn(config.slots, width))
        self.slot_norm = nn.RMSNorm(width)
        self.write = Attention(width, num_heads)
        self.read = Attention(width, num_heads)

    def forward(self, streams: Streams) -> tuple[Tensor, Tensor]:
        """See `Mechanism.forward`."""
        sequence, mask = streams.joined()
        slots = self.slots.expand(len(sequence), -1, -1)
        for _ in range(self.hops):
            slots = slots + self.write(self.slot_norm(slots), sequence, mask)
        return streams.parted(self.read(sequence, self.slot_norm(slots)))
