"""Cross-modal attention: each stream looks at the other (ViLBERT, arXiv 1908.02265; METER, arXiv 2111.02387)."""

from torch import Tensor

from mmbench.families.fusion.mechanisms.mechanism import Attention, Mechanism
from mmbench.families.fusion.streams import Streams


class CrossModalAttention(Mechanism):
    """Queries of one stream, keys and values of the other, with weights of their own for each direction."""

    def __init__(self, width: int, num_heads: int, config: Mechanism.Config) -> None:
        super().__init__(width, num_heads, config)
        self.image_to_text = Attention(width, num_heads)
        self.text_to_image = Attention(width, num_heads)

    def forward(self, streams: Streams) -> tuple[Tensor, Tensor]:
        """See `Mechanism.forward`."""
        return (
            self.image_to_text(streams.image, streams.text, streams.text_mask),
            self.text_to_image(streams.text, streams.image, streams.image_mask),
        )
