"""Early fusion: the streams meet at the input, and one stack of blocks reads both from there on (ViLT, 2102.03334)."""

import copy

from torch import Tensor, nn

from mmbench.families.fusion.placements.placement import MakeLayers, Placement, fuse, read_both_ways
from mmbench.families.fusion.streams import Streams
from mmbench.families.segments import Texts
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import ImageEncoder


class Early(Placement):
    """The encoder's first block and the word embeddings -> a fusion layer -> the language model's blocks, over both.

    One fusion layer where the system does not say.
    """

    def __init__(
        self, encoder: ImageEncoder, decoder: Decoder, make_layers: MakeLayers, num_layers: int | None
    ) -> None:
        super().__init__(encoder, decoder, make_layers, num_layers)
        self.image_projection = nn.Linear(encoder.dim, decoder.config.width)
        self.layers = make_layers(1 if num_layers is None else num_layers)

    @classmethod
    def used_of(cls, encoder: ImageEncoder) -> ImageEncoder:
        """Its first block."""
        kept = copy.deepcopy(encoder)
        kept.keep_layers(1)
        return kept

    def context_tokens(self, num_image_tokens: int) -> int:
        """All of them."""
        return num_image_tokens

    def forward(self, decoder: Decoder, image: list[Tensor], image_mask: Tensor, texts: Texts) -> Streams:
        """See `Placement.forward`."""
        words = decoder.embed(texts.token_ids)
        streams = fuse(self.layers, Streams(self.image_projection(image[0]), image_mask, words, texts.mask))
        # The image stands first: where a text begins does not then depend on the others of its batch.
        return streams.replaced(*streams.parted(read_both_ways(decoder, *streams.joined())))
