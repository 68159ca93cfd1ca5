"""Pooled: each modality is one vector before the other is known; the classifier alone sees both."""

from typing import ClassVar

from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.families.fusion.placements.placement import MakeLayers, Placement, read_both_ways
from mmbench.families.fusion.streams import Streams
from mmbench.families.segments import Texts
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import ImageEncoder


class Pooled(Placement):
    """Both full encoders, and no fusion layer."""

    fuses: ClassVar[bool] = False

    def __init__(
        self, encoder: ImageEncoder, decoder: Decoder, make_layers: MakeLayers, num_layers: int | None
    ) -> None:
        super().__init__(encoder, decoder, make_layers, num_layers)
        if num_layers:
            raise UserError(
                f"option 'layers' is {num_layers}, but placement 'pooled' has no fusion layers: leave it out"
            )
        self.image_dim = encoder.dim

    def forward(self, decoder: Decoder, image: list[Tensor], image_mask: Tensor, texts: Texts) -> Streams:
        """See `Placement.forward`."""
        text = read_both_ways(decoder, decoder.embed(texts.token_ids), texts.mask)
        return Streams(image[0], image_mask, text, texts.mask)
