"""What all image encoders have in common, and the errors of building one."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.config.model import EncoderSettings

NOT_LOADED = ("contrastive", "random")
"""Values of ``EncoderSettings.weights`` for which the encoder is built random; contrastive weights are loaded later."""

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation of the channels over CLIP's training images (arXiv 2103.00020), widely used since."""

Blocks = TypeVar("Blocks", nn.Sequential, nn.ModuleList)


class ImageEncoder(nn.Module):
    """Normalised images ``[B, 3, H, W]`` to patch tokens ``[B, N, dim]``, row by row, without class tokens.

    Height and width may differ from those it was built for: positions are then interpolated.
    """

    mean: Tensor
    """Mean of each channel ``[3, 1, 1]``, for pixels in 0..1, as the weights expect."""
    std: Tensor
    """Standard deviation of each channel ``[3, 1, 1]``."""

    def __init__(self, dim: int, patch_size: int, depth: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.dim = dim
        """Width of a token."""
        self.patch_size = patch_size
        """Side of a patch in pixels."""
        self.depth = depth
        """Blocks it was built with; `keep_layers` leaves this as it is, so that layers keep their numbers."""
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    @property
    def num_class_tokens(self) -> int:
        """How many tokens stand before the patches' where `features` keeps them."""
        return 0

    def normalise(self, images: Tensor) -> Tensor:
        """Pixels as stored, uint8 ``[B, 3, H, W]``, to floats as the weights expect them."""
        return (images.float() / 255 - self.mean) / self.std

    def num_tokens(self, image_size: int) -> int:
        """Tokens of a square image with a side of so many pixels."""
        return (image_size // self.patch_size) ** 2

    def features(self, images: Tensor, layers: Sequence[int], class_token: bool = False) -> list[Tensor]:
        """What the given layers put out, each ``[B, N, dim]``, without the last norm; no later block is computed.

        Layers are numbered as Hugging Face numbers its ``hidden_states``: 0 is what enters the first block, ``i`` the
        output of the i-th block, -1 that of the last one. With ``class_token``, the tokens that stand before the
        patches' (if the model has any) stay there.

        Raises:
            ValueError: there is no such layer, or `keep_layers` has dropped it.
        """
        raise NotImplementedError

    def final_norm(self, tokens: Tensor) -> Tensor:
        """The norm that stands behind the last block (none, if the model has none); ``forward`` has applied it."""
        raise NotImplementedError

    def keep_layers(self, num: int) -> None:
        """Drop all blocks behind the first ``num`` and the last norm, for who uses no `features` of a later layer.

        A parameter that is never used would get no gradient. ``forward`` then gives the output of block ``num``.

        Raises:
            ValueError: there are not so many, or the encoder reads them all whatever is asked of it.
        """
        raise ValueError(f"{type(self).__name__} reads all of its blocks: none of them can be dropped")

    def layer_number(self, layer: int) -> int:
        """A layer's number from 0, where a negative one counts from the last.

        Raises:
            ValueError: there is no such layer.
        """
        if not -self.depth - 1 <= layer <= self.depth:
            raise ValueError(
                f"the encoder has no layer {layer}: it has {self.depth} blocks, so give 0 (what enters the first) "
                f"to {self.depth} (the last one's output), or -1 to {-self.depth - 1}, counted from the last"
            )
        return layer % (self.depth + 1)

    def _layer_numbers(self, layers: Sequence[int], num_blocks: int) -> list[int]:
        """`layer_number` of each, none of which may lie behind the blocks that are left."""
        numbers = [self.layer_number(layer) for layer in layers]
        if max(numbers, default=0) > num_blocks:
            raise ValueError(
                f"layers {list(layers)} of the encoder are wanted, but only its first {num_blocks} blocks were kept"
            )
        return numbers


def kept(blocks: Blocks, num: int) -> Blocks:
    """The first ``num`` blocks.

    Raises:
        ValueError: there are not so many, or it is none.
    """
    if not 1 <= num <= len(blocks):
        raise ValueError(f"{num} blocks of the encoder cannot be kept: give 1 to {len(blocks)}, as many as it has")
    return blocks[:num]


def resized_positions(positions: Tensor, grid: tuple[int, int], new_grid: tuple[int, int]) -> Tensor:
    """Position embeddings ``[1 + rows x columns, D]``, the class token's first, of another grid: bicubic."""
    of_class, of_patches = positions[:1], positions[1:]
    picture = of_patches.T.reshape(1, positions.shape[1], *grid)
    resized = F.interpolate(picture, size=new_grid, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat((of_class, resized.flatten(2)[0].T))


def local_file(settings: EncoderSettings) -> Path:
    """The file that ``weights`` names.

    Raises:
        UserError: there is no such file.
    """
    path = Path(settings.weights).expanduser()
    if not path.is_file():
        raise UserError(
            f"encoder.weights is '{settings.weights}', but there is no such file: give 'contrastive', 'random', "
            "'pretrained' or the path of a checkpoint"
        )
    return path


def unknown_model(library: str, name: str, known: list[str]) -> UserError:
    """The error for a name a library does not know: the nearest by their beginnings, since it knows hundreds."""

    def distance(other: str) -> tuple[int, int, str]:
        common = next(
            (i for i, (a, b) in enumerate(zip(name, other, strict=False)) if a != b), min(len(name), len(other))
        )
        return -common, len(other), other

    nearest = sorted(known, key=distance)[:3]
    return UserError(
        f"{library} has no model '{name}': the nearest of its {len(known)} are {', '.join(nearest)}; "
        f"{library}.list_models() lists all"
    )


def no_transformer(settings: EncoderSettings, allowed: str) -> UserError:
    """The error for a model that is no Vision Transformer."""
    return UserError(f"encoder '{settings.name}' of {settings.library} does not give patch tokens: choose {allowed}")


def not_built(settings: EncoderSettings, error: Exception) -> UserError:
    """The error for options that the library's constructor refuses."""
    return UserError(
        f"encoder '{settings.name}' of {settings.library} cannot be built with options {settings.options}: "
        f"{_in_one_line(error)}; allowed are the keyword arguments of the library's constructor"
    )


def no_weights(settings: EncoderSettings, error: Exception) -> UserError:
    """The error for weights that cannot be fetched, read or fitted in."""
    logging.getLogger(__name__).debug("loading the encoder failed", exc_info=error)
    return UserError(
        f"weights '{settings.weights}' of encoder '{settings.name}' could not be loaded ({_in_one_line(error)}): "
        "set encoder.weights to the path of a local checkpoint that fits the options, or to 'contrastive'"
    )


def _in_one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300].removesuffix(": ")
