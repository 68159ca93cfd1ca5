"""A fusion layer: both streams take in what the mechanism brings them of each other, then each goes on by itself."""

from torch import nn

from mmbench.families.fusion.mechanisms.mechanism import Mechanism
from mmbench.families.fusion.streams import Streams
from mmbench.nn.feed_forward import FeedForward


class FusionLayer(nn.Module):
    """``x + exchange(norm(x))``, then ``x + feed_forward(norm(x))``, where x is the image's stream and the text's.

    The mechanism alone differs between the systems; norms and feed-forwards are those of the language model's blocks.
    """

    def __init__(self, mechanism: Mechanism, width: int, feed_forward_width: int, norm_eps: float) -> None:
        super().__init__()
        self.mechanism = mechanism
        self.image_norm = nn.RMSNorm(width, eps=norm_eps)
        self.text_norm = nn.RMSNorm(width, eps=norm_eps)
        self.image_feed_forward_norm = nn.RMSNorm(width, eps=norm_eps)
        self.text_feed_forward_norm = nn.RMSNorm(width, eps=norm_eps)
        self.image_feed_forward = FeedForward(width, feed_forward_width)
        self.text_feed_forward = FeedForward(width, feed_forward_width)

    def forward(self, streams: Streams) -> Streams:
        """Both streams, ``[G, N, D]`` and ``[G, L, D]``, after the layer."""
        normed = streams.replaced(self.image_norm(streams.image), self.text_norm(streams.text))
        to_image, to_text = self.mechanism(normed)
        image, text = streams.image + to_image, streams.text + to_text
        return streams.replaced(
            image + self.image_feed_forward(self.image_feed_forward_norm(image)),
            text + self.text_feed_forward(self.text_feed_forward_norm(text)),
        )
