"""Unified: image tokens stand among the text embeddings, and an unmodified decoder reads both.

LLaVA, arXiv 2304.08485.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.families.family import SharedParts
from mmbench.families.sight import Sight
from mmbench.families.vision.connecting import ConnectorOptions, connector_for
from mmbench.families.vision.layout import Layout, LayoutOptions
from mmbench.families.vision.look import LookOptions, prepared
from mmbench.families.vision.options import check_token_ids, refuse_unused
from mmbench.families.vision.viewing_decoder import ViewingDecoder
from mmbench.nn.decoder import Decoder
from mmbench.nn.image_encoder import ImageEncoder
from mmbench.nn.raw_patches import RawPatches


class Unified(ViewingDecoder):
    """views of the image -> encoder -> connector -> image tokens after <bos> -> decoder."""

    matched_width: ClassVar[str] = "connector_width"

    @dataclass
    class Config(LayoutOptions, ConnectorOptions, LookOptions):
        """Settings of a unified system."""

        encoder: Literal["shared", "none"] = "shared"
        """``none``: the connector reads the pixels of each patch (Fuyu)."""
        patch_size: int | None = None
        """Side of a patch in pixels where there is no encoder; that of the shared encoder's if not given."""
        lead: list[int] = field(default_factory=list)
        """Ids of tokens that stand before the image, as a published model's prompt has them."""
        trail: list[int] = field(default_factory=list)
        """Ids of tokens that stand after it."""
        break_ids: list[int] = field(default_factory=list)
        """Ids of the token after each row and of the one that ends the image, where ``row_breaks: break`` are tokens of
        the vocabulary; then no embeddings of their own are learned."""

    config: Config

    def __init__(self, config: Config, shared: SharedParts, objective_weights: Mapping[str, float]) -> None:
        super().__init__(shared, objective_weights)
        self.config = config
        self.encoder = prepared(_encoder(config, shared.encoder), config, shared.image_size)
        decoder = shared.decoder.config
        side = config.side(shared.image_size)
        self.connector, grid = connector_for(config, config, self.encoder, decoder.width, side)
        self.layout = Layout(config, decoder, config.num_tags, grid, own_breaks=not config.break_ids)
        _check_ids(config, decoder)

    def see(self, images: Tensor, sizes: Tensor | None = None) -> Sight:
        """Every token that the connector makes of a view becomes one of the decoder's context."""
        looks = [one.through(self.connector) for one in self.looks(images, sizes)]
        lead, trail, breaks = (
            self.decoder.embed(torch.tensor(ids, device=self.device)) if ids else None
            for ids in (self.config.lead, self.config.trail, self.config.break_ids)
        )
        return self.layout.sight(self.layout(looks, len(images), trail, breaks), looks, lead, trail)

    def parts(self) -> dict[str, nn.Module]:
        """The common parts, and the connector with all that stands among its tokens."""
        parts = {**super().parts(), "connector": nn.ModuleList([self.connector, self.layout])}
        return {name: part for name, part in parts.items() if name != "encoder" or self.config.encoder != "none"}


def _encoder(config: Unified.Config, shared: ImageEncoder) -> ImageEncoder:
    if config.encoder == "none":
        patch_size = shared.patch_size if config.patch_size is None else config.patch_size
        if patch_size < 1:
            raise UserError(f"option 'patch_size' is {patch_size}; it must be at least 1")
        refuse_unused(config, ("layers", "with_last"), "there is no encoder", "encoder: shared")
        return RawPatches(patch_size)
    refuse_unused(config, ("patch_size",), "the encoder's patches are as they are", "encoder: none")
    return shared


def _check_ids(config: Unified.Config, decoder: Decoder.Config) -> None:
    check_token_ids(config, ("lead", "trail", "break_ids"), decoder.vocab_size + decoder.extra_embeddings)
    if config.break_ids and (config.row_breaks != "break" or len(config.break_ids) != 2):
        raise UserError(
            f"option 'break_ids' is {config.break_ids}: give two ids, of the row's break and of the image's end, and "
            "row_breaks: break; or leave the option out"
        )
