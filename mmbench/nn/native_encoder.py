"""A Vision Transformer for images of any resolution, several sizes at once: Pixtral's, Qwen2-VL's and Aria's."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.nn.attention import additive_mask, compute_dtype
from mmbench.nn.config_checks import check_whole
from mmbench.nn.feed_forward import Activation
from mmbench.nn.image_encoder import CLIP_MEAN, CLIP_STD, ImageEncoder, kept
from mmbench.nn.norms import Norm, build_norm
from mmbench.nn.ragged import Ragged
from mmbench.nn.rotary_2d import Frequencies, rotary_tables_2d
from mmbench.nn.vision_block import VisionBlock, initialise


@dataclass
class Packed:
    """The patches of several images in one row."""

    tokens: Tensor
    """``[sum of rows x columns, dim]``, image by image."""
    grids: Tensor
    """int64 ``[B, 2]``: rows and columns of patches of each image."""


class NativeEncoder(ImageEncoder):
    """Patches of one linear layer, positions that know no largest image, attention within each image.

    Pixtral's encoder (arXiv 2410.07073) has rotary positions in the plane, RMSNorm, a norm before the first block,
    gated feed-forwards and no biases; Qwen2-VL's (arXiv 2409.12191) rotary positions, LayerNorm, plain feed-forwards
    and biases; neither has a norm behind the last block. Aria's (arXiv 2410.05993) is SigLIP's with each of its learned
    positions standing for a share of the picture's height and width (NaViT, arXiv 2307.06304).
    """

    @dataclass
    class Config:
        """Widths and variants; the defaults are small."""

        dim: int = 192
        """Width of a token."""
        depth: int = 4
        """Number of blocks."""
        num_heads: int = 3
        """Heads of the attention; the width of a head is a multiple of 4."""
        patch_size: int = 16
        """Side of a patch in pixels."""
        feed_forward_width: int = 768
        """Inner width of the feed-forward."""
        norm: Norm = "rms"
        """LayerNorm or RMSNorm."""
        norm_eps: float = 1e-5
        """Added to the variance or mean square."""
        norm_pre: bool = True
        """Whether there is a norm before the first block."""
        norm_post: bool = False
        """Whether there is a norm behind the last block."""
        gated: bool = True
        """Whether the feed-forward is gated."""
        activation: Activation = "silu"
        """The feed-forward's activation."""
        bias: bool = False
        """Whether the matrices of the blocks have biases."""
        patch_bias: bool = False
        """Whether the patches' linear layer has a bias."""
        temporal_patch: int = 1
        """Frames that a patch spans. An image stands in each of them, so its kernel is the sum of theirs; separate
        kernels are kept so that a checkpoint of a video model goes in and comes out whole."""
        rope_theta: float = 10000.0
        """Base of the rotary position embedding."""
        frequencies: Frequencies = "staggered"
        """How rows and columns share the rotary frequencies."""
        position_buckets: int = 0
        """Learned positions instead of rotary ones: so many shares of the height times as many of the width."""
        merge: Literal[1, 2] = 1
        """Side of the neighbourhoods of patches that stand together in `NativeEncoder.forward_packed`."""
        mean: list[float] = field(default_factory=lambda: list(CLIP_MEAN))
        """Mean of each channel, for pixels in 0..1; the default is that of CLIP's training images."""
        std: list[float] = field(default_factory=lambda: list(CLIP_STD))
        """Standard deviation of each channel."""

        def __post_init__(self) -> None:
            sizes = ("dim", "depth", "num_heads", "patch_size", "feed_forward_width", "temporal_patch")
            check_whole(self, "the encoder", 1, *sizes)
            check_whole(self, "the encoder", 0, "position_buckets")
            if not len(self.mean) == len(self.std) == 3 or min(self.std) <= 0:
                raise UserError(
                    f"encoder options mean {self.mean} and std {self.std} have to be three numbers each, for red, "
                    "green and blue, those of std above 0"
                )
            if self.dim % self.num_heads or self.dim // self.num_heads % 4:
                raise UserError(
                    f"encoder options dim {self.dim} and num_heads {self.num_heads} do not fit: dim has to be a "
                    "multiple of 4 x num_heads, since a quarter of a head turns with rows and a quarter with columns"
                )

    def __init__(self, config: Config) -> None:
        super().__init__(config.dim, config.patch_size, config.depth, tuple(config.mean), tuple(config.std))
        self.config = config
        channels = 3 * config.temporal_patch  # in each of a picture's channels, frame by frame
        self.patches = nn.Conv2d(channels, config.dim, config.patch_size, config.patch_size, bias=config.patch_bias)
        if config.position_buckets:
            self.positions = nn.Embedding(config.position_buckets**2, config.dim)
        self.norm_pre = build_norm(config.norm, config.dim, config.norm_eps) if config.norm_pre else nn.Identity()
        block = VisionBlock.Config(
            dim=config.dim,
            num_heads=config.num_heads,
            feed_forward_width=config.feed_forward_width,
            norm=config.norm,
            norm_eps=config.norm_eps,
            gated=config.gated,
            activation=config.activation,
            attention_bias=config.bias,
            feed_forward_bias=config.bias,
        )
        self.blocks = nn.ModuleList(VisionBlock(block) for _ in range(config.depth))
        self.norm_post = build_norm(config.norm, config.dim, config.norm_eps) if config.norm_post else nn.Identity()
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 3, H, W]`` to ``[B, N, dim]``, row by row."""
        return self.final_norm(self.features(images, [len(self.blocks)])[0])

    def forward_packed(self, images: Tensor, sizes: Tensor, layer: int | None = None) -> Packed:
        """Images of different sizes at once; each is encoded as if it were alone.

        With ``merge`` 2, the patches of each neighbourhood of 2 x 2 stand next to one another (row by row within it),
        neighbourhoods row by row: four successive tokens are what Qwen2-VL's merger joins.

        Args:
            images: normalised ``[B, 3, S, S]``, each in the top left corner of its canvas.
            sizes: int64 ``[B, 2]``, height and width in pixels. A side that ends within a patch (or neighbourhood)
                counts up to its end, so that no part of the image is lost.
            layer: which layer's output to give, as in `features`; None = the last one's, behind the last norm.

        Raises:
            ValueError: the canvas does not divide into patches (or neighbourhoods).
        """
        merge = self.config.merge
        step = merge * self.patch_size
        if images.shape[2] % step or images.shape[3] % step:
            raise ValueError(
                f"images of {images.shape[2]} x {images.shape[3]} pixels do not divide into squares of {step}: "
                f"{merge} x {merge} patches of {self.patch_size} pixels"
            )
        patches = self._patches(images)
        rows, columns = patches.shape[2:]
        grids = (sizes.to(patches.device) + step - 1) // step * merge
        # [B, rows, columns] as [B, rows / merge, columns / merge, merge, merge]: the order of the tokens.
        places = torch.arange(len(images) * rows * columns, device=patches.device)
        places = places.view(-1, rows // merge, merge, columns // merge, merge).transpose(2, 3).flatten()
        positions = torch.stack((places // columns % rows, places % columns), -1)
        grid = grids[places // (rows * columns)]
        inside = (positions < grid).all(-1)
        tokens = patches.permute(0, 2, 3, 1).flatten(0, 2)[places[inside]]
        number = len(self.blocks) if layer is None else self._layer_numbers([layer], len(self.blocks))[0]
        output = self._run(tokens, positions[inside], grid[inside], Ragged(grids.prod(-1)), [number])[0]
        return Packed(self.final_norm(output) if layer is None else output, grids)

    def features(self, images: Tensor, layers: Sequence[int], class_token: bool = False) -> list[Tensor]:
        """See `ImageEncoder.features`; there is no class token."""
        patches = self._patches(images)
        batch, _, rows, columns = patches.shape
        positions = torch.cartesian_prod(*(torch.arange(n, device=patches.device) for n in (rows, columns)))
        grid = torch.tensor([[rows, columns]], device=patches.device)
        tokens = patches.flatten(2).mT.flatten(0, 1)
        numbers = self._layer_numbers(layers, len(self.blocks))
        ragged = Ragged(grid.prod(-1).expand(batch))
        outputs = self._run(tokens, positions.repeat(batch, 1), grid, ragged, numbers)
        return [output.view(batch, rows * columns, -1) for output in outputs]

    def final_norm(self, tokens: Tensor) -> Tensor:
        """See `ImageEncoder.final_norm`."""
        normed: Tensor = self.norm_post(tokens)
        return normed

    def keep_layers(self, num: int) -> None:
        """See `ImageEncoder.keep_layers`."""
        self.blocks = kept(self.blocks, num)
        self.norm_post = nn.Identity()

    def _patches(self, images: Tensor) -> Tensor:
        """``[B, 3, H, W]`` to ``[B, dim, rows, columns]``."""
        side = self.patch_size
        kernel = self.patches.weight.view(self.dim, 3, -1, side, side).sum(2)
        return F.conv2d(images, kernel, self.patches.bias, stride=side)

    def _run(self, tokens: Tensor, positions: Tensor, grid: Tensor, ragged: Ragged, numbers: list[int]) -> list[Tensor]:
        """The outputs of the layers of those numbers ``[N, dim]``.

        Args:
            tokens: patches ``[N, dim]``.
            positions: row and column of each ``[N, 2]``.
            grid: rows and columns of the image of each ``[N or 1, 2]``.
            ragged: which of them are one image.
            numbers: from 0.
        """
        config, dtype = self.config, compute_dtype(tokens)
        tokens = tokens.to(self.patches.weight.dtype)  # under autocast too, what blocks add is added up in full
        rotation = None
        if config.position_buckets:
            row, column = position_buckets(positions, grid, config.position_buckets).unbind(-1)
            tokens = tokens + self.positions(row * config.position_buckets + column)
        else:
            head_dim = config.dim // config.num_heads
            rotation = rotary_tables_2d(positions, head_dim, config.rope_theta, config.frequencies, dtype)
        mask = None if ragged.mask is None else additive_mask(ragged.mask[:, None, None], dtype)
        outputs = [self.norm_pre(tokens)]
        for block in self.blocks[: max(numbers)]:
            outputs.append(block(outputs[-1], mask, rotation, ragged))
        return [outputs[number] for number in numbers]


def position_buckets(positions: Tensor, grid: Tensor, num: int) -> Tensor:
    """Which of ``num`` equal shares of the picture each row and column begins in: int64 of the shape of ``positions``.

    Computed in float32 with the rounding of Hugging Face's ``idefics3``: at a few grids it puts a row that begins where
    a share does into the share before, and weights are used as they are there.
    """
    bounds = torch.arange(1 / num, 1.0, 1 / num, device=positions.device)
    shares = positions.float() * (1.0 / grid)
    return torch.bucketize(shares, bounds, right=True)
