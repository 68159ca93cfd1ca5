"""All images of a split as one uint8 memory map, decoded or rendered once and kept on disk."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmbench import __version__
from mmbench.data.canvas import Canvas
from mmbench.data.example import Example, SceneImage
from mmbench.data.images import BROKEN_IMAGE_ERRORS, Pixels, decode, render, size_of
from mmbench.data.locking import build_once

Sizes = NDArray[np.int64]

Progress = Callable[[int, int], None]
"""Called with (done, all) now and then."""

_CHUNK = 256
_NUM_FINGERPRINTED_SCENES = 4


class PixelStore:
    """The images of a split, and why some of the N could not be read."""

    def __init__(self, folder: Path) -> None:
        self.images: Pixels = np.load(folder / "images.npy", mmap_mode="r")
        """uint8 [N, 3, S, S]."""
        self.sizes: Sizes = np.load(folder / "sizes.npy")
        """int64 [N, 2] height and width of the picture within its canvas."""
        self.broken: dict[int, str] = {int(i): why for i, why in json.loads((folder / "broken.json").read_text())}
        """Index to reason; the pixels there are 0."""


class BlackPixels(PixelStore):
    """Black images in the place of real ones, for whoever needs only their number and sizes; holds no pixels."""

    def __init__(self, examples: Sequence[Example], canvas: Canvas) -> None:
        self.images = np.broadcast_to(np.zeros((), dtype=np.uint8), (len(examples), 3, canvas.side, canvas.side))
        self.sizes = np.full((len(examples), 2), canvas.side, dtype=np.int64)
        if canvas.layout == "native":
            for row, example in enumerate(examples):
                with suppress(*BROKEN_IMAGE_ERRORS):  # whoever decodes it says so
                    self.sizes[row] = size_of(example.image, canvas)
        self.broken = {}


def open_pixels(
    examples: Sequence[Example], canvas: Canvas, cache_dir: Path, progress: Progress | None = None
) -> PixelStore:
    """The memory map of these examples' images; made if the cache does not hold it.

    Args:
        examples: N examples, in the order of the map's rows.
        canvas: what each picture is laid into.
        cache_dir: where maps are kept, by a hash of what they show.
        progress: called while images are decoded.

    Raises:
        UserError: the cache cannot be written.
    """

    def build(folder: Path) -> None:
        folder.mkdir()
        broken: list[tuple[int, str]] = []
        sizes = np.empty((len(examples), 2), dtype=np.int64)
        with open(folder / "images.npy", "wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(examples), 3, canvas.side, canvas.side)}
            np.lib.format.write_array_header_1_0(file, header)
            for chunk in _chunks(examples, canvas):
                file.write(chunk.images.tobytes())
                done = chunk.start + len(chunk.images)
                sizes[chunk.start : done] = chunk.sizes
                broken += [(chunk.start + i, why) for i, why in chunk.broken]
                if progress is not None:
                    progress(done, len(examples))
            file.flush()
            os.fsync(file.fileno())
        np.save(folder / "sizes.npy", sizes)
        (folder / "broken.json").write_text(json.dumps(broken))

    return PixelStore(build_once(cache_dir / "images" / _key(examples, canvas), build))


@dataclass
class _Chunk:
    """The images from ``start`` on: uint8 [n, 3, S, S], int64 [n, 2], and which of the n are broken and why."""

    start: int
    images: Pixels
    sizes: Sizes
    broken: list[tuple[int, str]]


def _chunks(examples: Sequence[Example], canvas: Canvas) -> Iterator[_Chunk]:
    """All images, in order."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        for start in range(0, len(examples), _CHUNK):
            refs = [example.image for example in examples[start : start + _CHUNK]]
            images = np.zeros((len(refs), 3, canvas.side, canvas.side), dtype=np.uint8)
            chunk = _Chunk(start, images, np.full((len(refs), 2), canvas.side, dtype=np.int64), [])
            files = [(i, ref) for i, ref in enumerate(refs) if isinstance(ref, str)]
            scenes: dict[str, list[tuple[int, SceneImage]]] = {}
            for i, ref in enumerate(refs):
                if isinstance(ref, SceneImage):
                    scenes.setdefault(f"{ref.source} {ref.split}", []).append((i, ref))
            for members in scenes.values():
                pictures = render([scene for _, scene in members], canvas)
                for (i, _), pixels in zip(members, pictures, strict=True):
                    _lay(chunk, i, pixels)
            decoded = threads.map(lambda path: _decode_or_reason(path, canvas), [path for _, path in files])
            for (i, _), result in zip(files, decoded, strict=True):
                if isinstance(result, str):
                    chunk.broken.append((i, result))
                else:
                    _lay(chunk, i, result)
            yield chunk


def _lay(chunk: _Chunk, row: int, picture: Pixels) -> None:
    _, height, width = picture.shape
    chunk.images[row, :, :height, :width] = picture
    chunk.sizes[row] = height, width


def _decode_or_reason(path: str, canvas: Canvas) -> Pixels | str:
    if not os.path.isfile(path):
        return "missing image"
    try:
        return decode(path, canvas)
    except BROKEN_IMAGE_ERRORS as error:
        return f"corrupt image ({type(error).__name__}: {str(error) or 'cannot be decoded'})"


def _key(examples: Sequence[Example], canvas: Canvas) -> str:
    """Hash of what the map shows: files by name, size and time of change; scenes by settings and a few renderings."""
    digest = hashlib.sha256(f"mmbench {__version__} {canvas}\n".encode())
    seen: dict[str, list[SceneImage]] = {}
    for example in examples:
        if isinstance(example.image, SceneImage):
            source = f"{example.image.source} {example.image.split}"
            digest.update(f"{source} {example.image.index}\n".encode())
            seen.setdefault(source, []).append(example.image)
        else:
            digest.update(f"{os.path.basename(example.image)} {_state(example.image)}\n".encode())
    for scenes in seen.values():
        # A renderer that draws otherwise must not find the maps of the one before it.
        for picture in render(scenes[:_NUM_FINGERPRINTED_SCENES], canvas):
            digest.update(picture.tobytes())
    return digest.hexdigest()[:32]


def _state(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (-1, 0)
    return (found.st_size, found.st_mtime_ns)
