"""Intermediate fusion: the streams meet several times on their way, at middle layers of both."""

from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.families.fusion.placements.placement import MakeLayers, Placement, read_both_ways
from mmbench.families.fusion.streams import Streams
from mmbench.families.segments import Texts
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import ImageEncoder


class Intermediate(Placement):
    """Before some of the language model's blocks a fusion layer brings in the image as it is at the same depth.

    The text's stream goes on through the blocks with what it learned. The image's learns in a stream beside the
    encoder, to which each meeting adds the encoder's tokens of a deeper layer (as in arXiv 2206.06522), so that the
    encoder reads an image once for all the questions about it. At the last meeting the encoder is at its end; blocks
    of the language model follow. Three meetings where the system does not say, or as many as it has gaps for.
    """

    def __init__(
        self, encoder: ImageEncoder, decoder: Decoder, make_layers: MakeLayers, num_layers: int | None
    ) -> None:
        super().__init__(encoder, decoder, make_layers, num_layers)
        depth = decoder.config.depth
        num = max(1, min(3, depth - 1, encoder.depth)) if num_layers is None else num_layers
        if num > min(depth - 1, encoder.depth):
            raise UserError(
                f"{num} fusion layers do not fit between the {depth} blocks of the language model and beside the "
                f"{encoder.depth} of the encoder: set option 'layers' to at most {min(depth - 1, encoder.depth)}, or "
                "choose another placement"
            )
        self.num_seen = num
        self.image_layers = [-(-encoder.depth * i // num) for i in range(1, num + 1)]
        """After which of the encoder's blocks, counted from 1, each meeting takes the image."""
        self.blocks = [depth * i // (num + 1) for i in range(1, num + 1)]
        """Before which of the language model's blocks, counted from 0, each meeting is."""
        self.image_projections = nn.ModuleList(nn.Linear(encoder.dim, decoder.config.width) for _ in range(num))
        self.layers = make_layers(num)

    def see(self, encoder: ImageEncoder, pixels: Tensor) -> list[Tensor]:
        """The tokens of the middle layers, and of the last one after its norm."""
        *middle, last = encoder.features(pixels, self.image_layers)
        return [*middle, encoder.final_norm(last)]

    def forward(self, decoder: Decoder, image: list[Tensor], image_mask: Tensor, texts: Texts) -> Streams:
        """See `Placement.forward`."""
        met: list[Tensor] = []  # the image's stream after each meeting

        def meet(block: int, hidden: Tensor) -> Tensor:
            if block not in self.blocks:
                return hidden
            number = self.blocks.index(block)
            arriving = self.image_projections[number](image[number])
            seen = met[-1] + arriving if met else arriving
            streams: Streams = self.layers[number](Streams(seen, image_mask, hidden, texts.mask))
            met.append(streams.image)
            return streams.text

        text = read_both_ways(decoder, decoder.embed(texts.token_ids), texts.mask, meet)
        return Streams(met[-1], image_mask, text, texts.mask)
