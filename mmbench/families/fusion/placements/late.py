"""Late fusion: the streams meet after both full encoders, token by token."""

from torch import Tensor, nn

from mmbench.families.fusion.placements.placement import MakeLayers, Placement, fuse, read_both_ways
from mmbench.families.fusion.streams import Streams
from mmbench.families.segments import Texts
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import ImageEncoder


class Late(Placement):
    """encoder and language model, each by itself -> fusion layers; 2 where the system does not say."""

    def __init__(
        self, encoder: ImageEncoder, decoder: Decoder, make_layers: MakeLayers, num_layers: int | None
    ) -> None:
        super().__init__(encoder, decoder, make_layers, num_layers)
        self.image_projection = nn.Linear(encoder.dim, decoder.config.width)
        self.layers = make_layers(2 if num_layers is None else num_layers)

    def forward(self, decoder: Decoder, image: list[Tensor], image_mask: Tensor, texts: Texts) -> Streams:
        """See `Placement.forward`."""
        text = read_both_ways(decoder, decoder.embed(texts.token_ids), texts.mask)
        return fuse(self.layers, Streams(self.image_projection(image[0]), image_mask, text, texts.mask))
