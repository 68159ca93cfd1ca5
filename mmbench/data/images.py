"""One image to pixels: decoding files with Pillow, rendering scenes."""

import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mmbench.data.example import ImageRef, SceneImage

if TYPE_CHECKING:
    from mmbench.data.scenes import Scenes

Pixels = NDArray[np.uint8]

BROKEN_IMAGE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for a file that is missing, cut short, no image or absurdly large."""


_SMALLEST_SCENE = 32
"""Scenes are drawn with an even side of at least so many pixels."""


def decode(source: str | BinaryIO, side: int) -> Pixels:
    """Read an image file as a square: all of it is kept, the aspect ratio is not.

    Transparent images are laid on white; the camera's rotation (EXIF) is applied.

    Returns:
        uint8 [3, side, side].

    Raises:
        OSError and the other `BROKEN_IMAGE_ERRORS`: the file is missing or corrupt.
    """
    with Image.open(source) as file:
        file.draft("RGB", (side, side))
        image = _upright_rgb(file)
    resized = image.resize((side, side), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(resized, dtype=np.uint8).transpose(2, 0, 1))


def picture(image: ImageRef, side: int) -> Image.Image:
    """The image for people: at most ``side`` pixels wide and high, with its own aspect ratio."""
    if isinstance(image, SceneImage):
        drawn = max(_SMALLEST_SCENE, side + side % 2)
        scene = Image.fromarray(render([image], drawn)[0].transpose(1, 2, 0))
        return scene if drawn == side else scene.resize((side, side), Image.Resampling.BICUBIC)
    with Image.open(image) as file:
        upright = _upright_rgb(file)
    factor = side / max(upright.size)
    width, height = (max(1, round(length * factor)) for length in upright.size)
    return upright.resize((width, height), Image.Resampling.BICUBIC)


def render(images: Sequence[SceneImage], side: int) -> Pixels:
    """uint8 [n, 3, side, side] of scenes of one split of one source."""
    first = images[0]
    indices = np.array([image.index for image in images], dtype=np.int64)
    return _scenes(first).render(first.split, indices, side)


def _scenes(image: SceneImage) -> "Scenes":
    from mmbench.data.scenes import Scenes

    key = repr(image.settings)
    if key not in _made:
        _made.clear()
        _made[key] = Scenes(image.settings)
    return _made[key]


_made: "dict[str, Scenes]" = {}


def _upright_rgb(file: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(file)
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        with_alpha = upright.convert("RGBA")
        white = Image.new("RGBA", with_alpha.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, with_alpha).convert("RGB")
    return upright.convert("RGB")
