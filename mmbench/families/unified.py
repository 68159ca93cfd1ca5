"""Unified: image tokens stand among the text embeddings, and an unmodified decoder reads both.

LLaVA, arXiv 2304.08485.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from mmbench.families.family import SharedParts
from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.families.sight import Sight
from mmbench.nn.connectors import build_connector


class Unified(SeeingDecoder):
    """encoder -> connector -> image tokens after <bos> -> decoder."""

    matched_width: ClassVar[str] = "connector_width"

    @dataclass
    class Config:
        """Settings of a unified system."""

        connector: str = "mlp"
        """``linear`` or ``mlp``: how encoder tokens become decoder embeddings."""
        connector_width: int | None = None
        """Inner width of an ``mlp`` connector; the decoder's width if not given."""

    def __init__(self, config: Config, shared: SharedParts, objective_weights: Mapping[str, float]) -> None:
        super().__init__(shared, objective_weights)
        self.connector = build_connector(
            config.connector, shared.encoder.dim, shared.decoder.config.width, connector_width=config.connector_width
        )

    def see(self, images: Tensor, sizes: Tensor | None = None) -> Sight:
        """Every encoder token becomes a token of the decoder's context."""
        grid = (images.shape[-2] // self.encoder.patch_size, images.shape[-1] // self.encoder.patch_size)
        return Sight(prefix=self.connector(self.encoder(self.encoder.normalise(images)), grid))

    def parts(self) -> dict[str, nn.Module]:
        """The common parts and the connector."""
        return {**super().parts(), "connector": self.connector}
