"""What all image encoders have in common, and the errors of building one."""

import logging
from pathlib import Path

import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.config.model import EncoderSettings

NOT_LOADED = ("contrastive", "random")
"""Values of ``EncoderSettings.weights`` for which the encoder is built random; contrastive weights are loaded later."""


class ImageEncoder(nn.Module):
    """Normalised images ``[B, 3, H, W]`` to patch tokens ``[B, N, dim]``, row by row, without class tokens.

    Height and width may differ from those it was built for: positions are then interpolated.
    """

    mean: Tensor
    """Mean of each channel ``[3, 1, 1]``, for pixels in 0..1, as the weights expect."""
    std: Tensor
    """Standard deviation of each channel ``[3, 1, 1]``."""

    def __init__(self, dim: int, patch_size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.dim = dim
        """Width of a token."""
        self.patch_size = patch_size
        """Side of a patch in pixels."""
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """Pixels as stored, uint8 ``[B, 3, H, W]``, to floats as the weights expect them."""
        return (images.float() / 255 - self.mean) / self.std

    def num_tokens(self, image_size: int) -> int:
        """Tokens of a square image with a side of so many pixels."""
        return (image_size // self.patch_size) ** 2


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
