"""One image to pixels: decoding files with Pillow, rendering scenes."""

import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from mmbench.data.canvas import Canvas
from mmbench.data.example import ImageRef, SceneImage
from mmbench.data.scenes.frames import SMALLEST_SIDE, frame

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

_LAST_UNTURNED = 4
"""EXIF orientations above this one turn the picture by a quarter."""


def decode(source: str | BinaryIO, canvas: Canvas) -> Pixels:
    """Read an image file as the canvas holds it; all of the picture is kept.

    Transparent images are laid on white; the camera's rotation (EXIF) is applied.

    Returns:
        uint8 [3, height, width], as `Canvas.fit` says; [3, S, S] in the square layout.

    Raises:
        OSError and the other `BROKEN_IMAGE_ERRORS`: the file is missing or corrupt.
    """
    with Image.open(source) as file:
        height, width = canvas.fit(file.height, file.width)
        file.draft("RGB", (width, height))
        lying = file.size
        image = _upright_rgb(file)
    if image.size != lying:
        height, width = width, height
    return _resized(image, height, width)


def size_of(image: ImageRef, canvas: Canvas) -> tuple[int, int]:
    """Height and width of the picture within the canvas, without decoding it.

    Raises:
        OSError and the other `BROKEN_IMAGE_ERRORS`: the file is missing or corrupt.
    """
    if isinstance(image, SceneImage):
        return canvas.fit(*_frame(image, canvas))
    with Image.open(image) as file:
        height, width = canvas.fit(file.height, file.width)
        turned = file.getexif().get(ExifTags.Base.Orientation, 1) > _LAST_UNTURNED
    return (width, height) if turned else (height, width)


def picture(image: ImageRef, side: int) -> Image.Image:
    """The image for people: at most ``side`` pixels wide and high, with its own aspect ratio."""
    if isinstance(image, SceneImage):
        aspect = float(_scenes(image).aspects(image.split)[image.index])
        return Image.fromarray(_drawn([image], *frame(aspect, side))[0].transpose(1, 2, 0))
    with Image.open(image) as file:
        upright = _upright_rgb(file)
    factor = side / max(upright.size)
    width, height = (max(1, round(length * factor)) for length in upright.size)
    return upright.resize((width, height), Image.Resampling.BICUBIC)


def render(images: Sequence[SceneImage], canvas: Canvas) -> list[Pixels]:
    """Scenes of one split of one source as the canvas holds them: uint8 [3, height, width] each."""
    pictures: dict[int, Pixels] = {}
    groups: dict[tuple[int, int], list[int]] = {}
    for number, image in enumerate(images):
        groups.setdefault(_frame(image, canvas), []).append(number)
    for own, members in groups.items():
        of_group = [images[number] for number in members]
        if canvas.layout == "native":
            drawn = list(_drawn(of_group, *canvas.fit(*own)))
        else:  # squashed, as a file's picture is
            drawn = list(_scenes(of_group[0]).render(of_group[0].split, _indices(of_group), *own))
            if own != canvas.fit(*own):
                drawn = [_resized(Image.fromarray(one.transpose(1, 2, 0)), *canvas.fit(*own)) for one in drawn]
        pictures.update(zip(members, drawn, strict=True))
    return [pictures[number] for number in range(len(images))]


def _drawn(images: Sequence[SceneImage], height: int, width: int) -> Pixels:
    """uint8 [n, 3, height, width] of scenes of one split; sides that are not drawn come from larger ones."""
    scenes, split, longer = _scenes(images[0]), images[0].split, max(height, width)
    if longer >= SMALLEST_SIDE and height % 2 == width % 2 == 0:
        return scenes.render(split, _indices(images), height, width)
    factor = 2 * -(-SMALLEST_SIDE // (2 * longer))
    large = scenes.render(split, _indices(images), factor * height, factor * width)
    return np.stack([_resized(Image.fromarray(one.transpose(1, 2, 0)), height, width) for one in large])


def _indices(images: Sequence[SceneImage]) -> NDArray[np.int64]:
    return np.array([image.index for image in images], dtype=np.int64)


def _frame(image: SceneImage, canvas: Canvas) -> tuple[int, int]:
    """Height and width of a scene's picture before it is laid into the canvas."""
    return _scenes(image).frames(image.split, canvas.side)[image.index]


def _scenes(image: SceneImage) -> "Scenes":
    from mmbench.data.scenes import Scenes

    if image.source not in _made:
        _made.clear()
        _made[image.source] = Scenes(image.settings)
    return _made[image.source]


_made: "dict[str, Scenes]" = {}


def _resized(image: Image.Image, height: int, width: int) -> Pixels:
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(resized, dtype=np.uint8).transpose(2, 0, 1))


def _upright_rgb(file: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(file)
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        with_alpha = upright.convert("RGBA")
        white = Image.new("RGBA", with_alpha.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, with_alpha).convert("RGB")
    return upright.convert("RGB")
