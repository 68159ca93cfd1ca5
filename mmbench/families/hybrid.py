"""Hybrid: a thumbnail's tokens in the self-attention, full-resolution tokens through gated cross-attention.

NVLM-H, arXiv 2409.11402.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from mmbench.config.errors import UserError
from mmbench.families.crossattn import attend_between, gated_layers, gates_of, look
from mmbench.families.family import SharedParts
from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.families.sight import Sight
from mmbench.families.trunk import Between
from mmbench.nn.connectors import build_connector


class Hybrid(SeeingDecoder):
    """thumbnail -> connector -> decoder context, as in unified; full image -> gated layers, as in crossattn."""

    matched_width: ClassVar[str] = "feed_forward_width"

    @dataclass
    class Config:
        """Settings of a hybrid system."""

        connector: str = "mlp"
        """``linear`` or ``mlp``: how the thumbnail's tokens become decoder embeddings."""
        thumbnail_factor: int = 2
        """The thumbnail's side is the image's, divided by this."""
        every: int = 2
        """A gated layer stands before every so many blocks, the first included."""
        feed_forward: bool = True
        """Whether a gated layer has a feed-forward of its own."""
        connector_width: int | None = None
        """Inner width of an ``mlp`` connector; the decoder's width if not given."""
        feed_forward_width: int | None = None
        """Inner width of the gated layers' feed-forward; the decoder's if not given."""

    def __init__(self, config: Config, shared: SharedParts, objective_weights: Mapping[str, float]) -> None:
        super().__init__(shared, objective_weights)
        if config.thumbnail_factor < 2:
            raise UserError(
                f"option 'thumbnail_factor' is {config.thumbnail_factor}; a thumbnail is smaller: give 2 or more"
            )
        self.thumbnail_factor = config.thumbnail_factor
        self.connector = build_connector(
            config.connector, shared.encoder.dim, shared.decoder.config.width, connector_width=config.connector_width
        )
        self.cross_attention = gated_layers(shared, config.every, config.feed_forward, config.feed_forward_width)

    @property
    def size_step(self) -> int:
        """Image and thumbnail both divide into patches."""
        return self.encoder.patch_size * self.thumbnail_factor

    def see(self, images: Tensor, sizes: Tensor | None = None) -> Sight:
        """The encoder looks twice: at the thumbnail, and at the image as it is.

        Raises:
            UserError: the thumbnail would not divide into the encoder's patches.
        """
        side, factor, patch = images.shape[-1], self.thumbnail_factor, self.encoder.patch_size
        if side % (factor * patch):
            raise UserError(
                f"option 'thumbnail_factor' is {factor}, but the thumbnail of an image of {side} pixels would then not "
                f"divide into patches of {patch}: make image_size a multiple of {factor * patch}, or change the option"
            )
        pixels = self.encoder.normalise(images)
        thumbnail = F.interpolate(pixels, size=(side // factor, side // factor), mode="area")
        rows = side // factor // patch
        prefix = self.connector(self.encoder(thumbnail), (rows, rows))
        return Sight(prefix, contexts=look(self.cross_attention, self.encoder(pixels)))

    def between(self, sight: Sight, sees_image: Tensor, num_prefix: int) -> Between | None:
        """The gated layer before a block, where it has one."""
        return attend_between(self.cross_attention, sight, sees_image)

    def parts(self) -> dict[str, nn.Module]:
        """The common parts, the connector, the gated layers, and the gates alone."""
        return {
            **super().parts(),
            "connector": self.connector,
            "cross_attention": self.cross_attention,
            "gates": gates_of(self.cross_attention),
        }
