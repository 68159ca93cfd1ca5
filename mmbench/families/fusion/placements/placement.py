"""What every placement of fusion is, and how a text is read without one."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from mmbench.families.fusion.layer import FusionLayer
from mmbench.families.fusion.streams import Streams
from mmbench.families.segments import Texts
from mmbench.families.trunk import Between
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import ImageEncoder

MakeLayers = Callable[[int], nn.ModuleList]
"""So many new fusion layers."""


class Placement(nn.Module):
    """Reads images once, each by itself; then reads texts with them, in the layers it has for that.

    Encoder and language model belong to the family; a placement only uses them.

    Args:
        encoder: what `used_of` gave.
        decoder: the shared language model.
        make_layers: makes fusion layers of the system's mechanism; they have the language model's width.
        num_layers: how many the system asks for; None: what the placement finds right.

    Raises:
        UserError: the placement cannot have so many.
    """

    fuses: ClassVar[bool] = True
    """Whether there are fusion layers, and so a mechanism."""
    image_dim: int
    """Width of the image's stream in the end; that of the text's is the language model's."""
    num_seen: int
    """Layers of the encoder whose tokens are met."""

    def __init__(
        self, encoder: ImageEncoder, decoder: Decoder, make_layers: MakeLayers, num_layers: int | None
    ) -> None:
        super().__init__()
        self.image_dim = decoder.config.width
        self.num_seen = 1

    @classmethod
    def used_of(cls, encoder: ImageEncoder) -> ImageEncoder:
        """What the placement needs of the shared encoder, which itself stays whole for the other systems."""
        return encoder

    def see(self, encoder: ImageEncoder, pixels: Tensor) -> list[Tensor]:
        """The image tokens ``[B, N, D_enc]`` that will be met, of one layer of the encoder or several."""
        return [encoder(pixels)]

    def context_tokens(self, num_image_tokens: int) -> int:
        """How many image tokens stand in the language model's context."""
        return 0

    def forward(self, decoder: Decoder, image: list[Tensor], image_mask: Tensor, texts: Texts) -> Streams:
        """Both streams in the end.

        Args:
            decoder: the shared language model.
            image: what `see` gave, one image for each text.
            image_mask: bool ``[G, N]``, False where the image has no token.
            texts: G texts.
        """
        raise NotImplementedError(f"{type(self).__name__} must say where the streams meet")


def fuse(layers: nn.ModuleList, streams: Streams) -> Streams:
    """The streams after all layers."""
    for layer in layers:
        assert isinstance(layer, FusionLayer)
        streams = layer(streams)
    return streams


def read_both_ways(decoder: Decoder, x: Tensor, mask: Tensor, between: Between | None = None) -> Tensor:
    """Hidden states ``[G, L, D]`` of the language model's blocks where every token attends to every real one.

    Args:
        x: embeddings ``[G, L, D]``.
        mask: bool ``[G, L]``, True where a token is real.
        between: what happens before each block.
    """
    length = x.shape[1]
    positions = torch.arange(length, device=x.device).expand(len(x), -1)
    hidden: Tensor = decoder(x, positions, mask[:, None, None].expand(-1, 1, length, -1), between=between)
    return hidden
