"""A graph whose nodes are the tokens of both modalities; messages pass along its edges (GATv2, arXiv 2105.14491)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.families.fusion.mechanisms.mechanism import Mechanism
from mmbench.families.fusion.streams import Streams


class Graph(Mechanism):
    """Each token gets messages from its nearest tokens of the other modality and from itself.

    Near is what has a high product of projections. How much of a message counts is the paper's dynamic attention,
    ``a . leaky_relu(target x_i + source x_j)``, over the edges of node i; the message of node j is ``source x_j``.
    """

    @dataclass
    class Config(Mechanism.Config):
        """The graph's edges."""

        neighbours: int = 8
        """Tokens of the other modality that each token hears; all of them where there are no more."""

    def __init__(self, width: int, num_heads: int, config: Config) -> None:
        super().__init__(width, num_heads, config)
        if config.neighbours < 1:
            raise UserError(f"option 'neighbours' is {config.neighbours}; it must be at least 1")
        self.neighbours, self.num_heads = config.neighbours, num_heads
        self.source = nn.Linear(width, width, bias=False)
        self.target = nn.Linear(width, width, bias=False)
        self.attention = nn.Parameter(torch.randn(num_heads, width // num_heads) * (width // num_heads) ** -0.5)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, streams: Streams) -> tuple[Tensor, Tensor]:
        """See `Mechanism.forward`."""
        return (
            self._hear(streams.image, streams.text, streams.text_mask),
            self._hear(streams.text, streams.image, streams.image_mask),
        )

    def _hear(self, nodes: Tensor, others: Tensor, mask: Tensor) -> Tensor:
        """What ``nodes [G, L, D]`` hear of ``others [G, K, D]`` (real where ``mask [G, K]``): ``[G, L, D]``."""
        num, length, width = nodes.shape
        target, own, source = self.target(nodes), self.source(nodes), self.source(others)
        nearness = (target.detach() @ source.detach().mT).masked_fill(~mask[:, None], -torch.inf)
        near, index = nearness.topk(min(self.neighbours, mask.shape[1]), dim=-1)  # [G, L, E]
        heard = source[torch.arange(num, device=index.device)[:, None, None], index]  # [G, L, E, D]
        messages = torch.cat([own[:, :, None], heard], dim=2).view(num, length, -1, *self.attention.shape)
        joined = F.leaky_relu(target.view(num, length, 1, *self.attention.shape) + messages, 0.2)
        scores = (joined * self.attention).sum(dim=-1)  # [G, L, 1 + E, H]
        is_edge = F.pad(near > -torch.inf, (1, 0), value=True)  # every node hears itself
        weights = scores.masked_fill(~is_edge[..., None], -torch.inf).softmax(dim=2)
        update: Tensor = self.output((weights[..., None] * messages).sum(dim=2).reshape(num, length, width))
        return update
