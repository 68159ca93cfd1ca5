"""Llama 3.2 Vision's image encoder: tiles one by one, then all tiles of an image together."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.nn.attention import additive_mask, compute_dtype
from mmbench.nn.config_checks import check_whole
from mmbench.nn.feed_forward import Activation
from mmbench.nn.image_encoder import CLIP_MEAN, CLIP_STD, ImageEncoder
from mmbench.nn.vision_block import VisionBlock, initialise

ALIGNMENT = 8
"""Tokens of a tile are padded to a multiple of this, as the released weights were trained."""


class TiledEncoder(ImageEncoder):
    """A Vision Transformer over the tiles of an image (arXiv 2407.21783, section 7).

    A token of the output is the last state joined with those of some blocks before: ``dim`` is a multiple of the
    Transformer's own width. In all blocks, real tokens attend to the real tokens of all tiles and to padding (empty
    tiles, and zeros that fill each tile up to a multiple of 8): the released weights have been trained like that, so
    an image always has the largest number of tiles, and the result does not depend on what else is in the batch.
    """

    @dataclass
    class Config:
        """Widths and variants; the defaults are small."""

        dim: int = 192
        """Width of the Transformer."""
        depth: int = 4
        """Blocks before the tiles' second position embedding."""
        num_global_layers: int = 1
        """Gated blocks behind it."""
        num_heads: int = 3
        """Heads of the attention."""
        feed_forward_width: int = 768
        """Inner width of the feed-forward."""
        activation: Activation = "gelu"
        """The feed-forward's activation."""
        patch_size: int = 16
        """Side of a patch in pixels."""
        tile_size: int = 64
        """Side of a tile in pixels."""
        max_num_tiles: int = 4
        """Tiles of an image at most."""
        grids: list[list[int]] = field(default_factory=list)
        """Rows and columns of tiles that an image may have; if empty, all with no more than ``max_num_tiles``."""
        intermediate_layers: list[int] = field(default_factory=lambda: [2])
        """Layers joined to the last state, numbered as in `ImageEncoder.features`."""
        norm_eps: float = 1e-5
        """Added to the variance in the norms of the blocks."""

        def __post_init__(self) -> None:
            sizes = ("dim", "depth", "num_heads", "feed_forward_width", "patch_size", "tile_size", "max_num_tiles")
            check_whole(self, "the encoder", 1, *sizes)
            check_whole(self, "the encoder", 0, "num_global_layers")
            if not all(len(grid) == 2 and min(grid) >= 1 for grid in self.grids):
                raise UserError(f"encoder option grids is {self.grids}; each must be two numbers of at least 1")
            counts = range(1, self.max_num_tiles + 1)
            self.grids = self.grids or [[r, c] for r in counts for c in counts if r * c <= self.max_num_tiles]
            if self.dim % self.num_heads:
                raise UserError(
                    f"encoder options dim {self.dim} and num_heads {self.num_heads} do not fit: dim has to be a "
                    "multiple of num_heads"
                )
            if self.tile_size % self.patch_size:
                raise UserError(
                    f"tiles of {self.tile_size} pixels do not divide into {self.patch_size}-pixel patches: choose a "
                    "tile_size that is a multiple of the patch_size"
                )
            wrong = [layer for layer in self.intermediate_layers if not 1 <= layer <= self.depth]
            if wrong:
                raise UserError(f"intermediate_layers has {wrong[0]}, but the encoder has blocks 1 to {self.depth}")

    def __init__(self, config: Config) -> None:
        width = config.dim * (1 + len(config.intermediate_layers))
        super().__init__(width, config.patch_size, config.depth, CLIP_MEAN, CLIP_STD)
        self.config = config
        num_tokens = 1 + self.num_tokens(config.tile_size)
        self.patches = nn.Conv2d(3, config.dim, config.patch_size, config.patch_size, bias=False)
        self.class_token = nn.Parameter(torch.randn(config.dim) * config.dim**-0.5)
        self.tile_positions = GatedTileEmbedding(config, 1)
        self.positions = nn.Parameter(torch.randn(num_tokens, config.dim) * config.dim**-0.5)
        self.positions_in_tiles = GatedTileEmbedding(config, num_tokens)
        self.norm_pre = nn.LayerNorm(config.dim)
        self.blocks = self._blocks(config.depth, residual_gates=False)
        self.norm = nn.LayerNorm(config.dim)
        self.global_tile_positions = GatedTileEmbedding(config, 1)
        self.global_blocks = self._blocks(config.num_global_layers, residual_gates=True)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Each image ``[B, 3, H, W]``, resized if need be, as one tile: its patches ``[B, N, dim]``, row by row."""
        tiles, mask, grids = self._as_one_tile(images)
        return self.forward_tiles(tiles, mask, grids)[:, 0, 1:]

    @property
    def num_class_tokens(self) -> int:
        """See `ImageEncoder.num_class_tokens`."""
        return 1

    def forward_tiles(self, tiles: Tensor, mask: Tensor, grids: Tensor) -> Tensor:
        """All tokens of each tile, the class token first: ``[B, K, 1 + N, dim]``; those of empty tiles mean nothing.

        Args:
            tiles: normalised ``[B, K, 3, t, t]``, row by row; what empty ones hold is not read.
            mask: bool ``[B, K]``, False = empty.
            grids: int64 ``[B, 2]``, rows and columns of tiles; 0 and 0 where there is no image.

        Raises:
            ValueError: too many tiles, of another size, or in rows and columns that the encoder does not know.
        """
        num_tiles = tiles.shape[1]
        states, additive, kinds = self._local_states(tiles, mask, grids)
        shape = (len(tiles), self.config.max_num_tiles, -1, self.config.dim)
        last = self.global_tile_positions(self.norm(states[-1]).view(shape), kinds).flatten(1, 2)
        for block in self.global_blocks:
            last = block(last, additive)
        # Component by component: the last state's, then of each of its components those of the layers in turn. Which
        # order it is does not matter to training, but the released projection reads this one.
        joined = torch.stack([states[layer] for layer in self.config.intermediate_layers], -1).flatten(-2)
        tokens = torch.cat((last, joined), -1).view(*shape[:3], self.dim)
        return tokens[:, :num_tiles, : len(self.positions)]

    def features(self, images: Tensor, layers: Sequence[int], class_token: bool = False) -> list[Tensor]:
        """See `ImageEncoder.features`: layers before the global ones, of each image as one tile, of the own width."""
        numbers = self._layer_numbers(layers, self.depth)
        states, _, _ = self._local_states(*self._as_one_tile(images), last=max(numbers, default=0))
        first = 0 if class_token else 1
        return [states[number][:, first : len(self.positions)] for number in numbers]

    def final_norm(self, tokens: Tensor) -> Tensor:
        """See `ImageEncoder.final_norm`: the norm before the global layers."""
        normed: Tensor = self.norm(tokens)
        return normed

    def num_tokens(self, image_size: int) -> int:
        """Tokens of an image of any size, as one tile."""
        return (self.config.tile_size // self.patch_size) ** 2

    def _blocks(self, num: int, residual_gates: bool) -> nn.ModuleList:
        config = self.config
        block = VisionBlock.Config(
            dim=config.dim,
            num_heads=config.num_heads,
            feed_forward_width=config.feed_forward_width,
            norm_eps=config.norm_eps,
            activation=config.activation,
            attention_bias=False,
            residual_gates=residual_gates,
        )
        return nn.ModuleList(VisionBlock(block) for _ in range(num))

    def _as_one_tile(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The arguments of `forward_tiles`."""
        size = (self.config.tile_size, self.config.tile_size)
        if images.shape[2:] != size:
            images = F.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)
        mask = torch.ones(len(images), 1, dtype=torch.bool, device=images.device)
        return images[:, None], mask, torch.ones(len(images), 2, dtype=torch.int64, device=images.device)

    def _local_states(
        self, tiles: Tensor, mask: Tensor, grids: Tensor, last: int | None = None
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """What enters the first block and what each puts out ``[B, K x tokens, D]``; the mask; the kinds of grid."""
        config = self.config
        kinds = self._kinds(grids)
        num_empty = config.max_num_tiles - tiles.shape[1]
        if num_empty < 0 or tiles.shape[-2:] != (config.tile_size, config.tile_size):
            raise ValueError(
                f"the encoder takes up to {config.max_num_tiles} tiles of {config.tile_size} x {config.tile_size} "
                f"pixels, not {tiles.shape[1]} of {tiles.shape[-2]} x {tiles.shape[-1]}"
            )
        mask = F.pad(mask, (0, num_empty))
        tiles = F.pad(tiles * mask[:, : tiles.shape[1], None, None, None], (0, 0, 0, 0, 0, 0, 0, num_empty))
        patches = self.patches(tiles.flatten(0, 1)).flatten(2).mT.unflatten(0, (len(tiles), -1))  # [B, K, N, D]
        patches = self.tile_positions(patches, kinds)
        of_class = self.class_token.to(patches.dtype).expand(*patches.shape[:2], 1, -1)
        own = (1 - self.positions_in_tiles.gate.tanh()) * self.positions
        tokens = self.positions_in_tiles(torch.cat((of_class, patches), 2) + own, kinds)
        tokens = F.pad(self.norm_pre(tokens), (0, 0, 0, -tokens.shape[2] % ALIGNMENT))
        # Only padding is kept from padding: what a real token attends to is in the class's docstring.
        real = mask[:, :, None] & (torch.arange(tokens.shape[2], device=mask.device) < len(self.positions))
        real = real.flatten(1)
        additive = additive_mask((real[:, :, None] | real[:, None, :])[:, None], compute_dtype(tokens))
        states = [tokens.flatten(1, 2)]
        for block in self.blocks[:last]:
            states.append(block(states[-1], additive))
        return states, additive, kinds

    def _kinds(self, grids: Tensor) -> Tensor:
        """int64 ``[B]``: 0 where there is no image, else one more than the grid's place in ``grids``."""
        known = torch.tensor([[0, 0], *self.config.grids], device=grids.device)
        same = (grids[:, None] == known).all(-1)
        if not same.any(-1).all():
            rows, columns = grids[int((~same.any(-1)).nonzero()[0])].tolist()
            raise ValueError(
                f"the encoder does not know {rows} x {columns} tiles, only "
                f"{', '.join(f'{r} x {c}' for r, c in self.config.grids)}: set its option max_num_tiles or grids"
            )
        return same.int().argmax(-1)


class GatedTileEmbedding(nn.Module):
    """A learned vector for each tile of each grid, and for each of its tokens if there are more, times a ``tanh`` gate.

    The gate starts at 0. Grid 0 stands for "no image".
    """

    def __init__(self, config: TiledEncoder.Config, num_tokens: int) -> None:
        super().__init__()
        self.shape = (config.max_num_tiles, num_tokens, config.dim)
        self.embedding = nn.Embedding(1 + len(config.grids), config.max_num_tiles * num_tokens * config.dim)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, tokens: Tensor, kinds: Tensor) -> Tensor:
        """Tokens ``[B, K, L, D]`` and the kinds of grid ``[B]`` to tokens."""
        embedding: Tensor = self.embedding(kinds).view(-1, *self.shape)
        return tokens + self.gate.tanh() * embedding
