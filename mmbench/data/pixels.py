"""All images of a split as one uint8 memory map, decoded or rendered once and kept on disk."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmbench import __version__
from mmbench.data.example import Example, SceneImage
from mmbench.data.images import BROKEN_IMAGE_ERRORS, Pixels, decode, render
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
    """Black images in the place of real ones, for whoever needs only their number and size; holds no memory."""

    def __init__(self, num_images: int, side: int) -> None:
        self.images = np.broadcast_to(np.zeros((), dtype=np.uint8), (num_images, 3, side, side))
        self.sizes = np.full((num_images, 2), side, dtype=np.int64)
        self.broken = {}


def open_pixels(
    examples: Sequence[Example], side: int, cache_dir: Path, progress: Progress | None = None
) -> PixelStore:
    """The memory map of these examples' images; made if the cache does not hold it.

    Args:
        examples: N examples, in the order of the map's rows.
        side: S, in pixels.
        cache_dir: where maps are kept, by a hash of what they show.
        progress: called while images are decoded.

    Raises:
        UserError: the cache cannot be written.
    """

    def build(folder: Path) -> None:
        folder.mkdir()
        broken: list[tuple[int, str]] = []
        with open(folder / "images.npy", "wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(examples), 3, side, side)}
            np.lib.format.write_array_header_1_0(file, header)
            for start, pixels, reasons in _chunks(examples, side):
                file.write(pixels.tobytes())
                broken += [(start + i, why) for i, why in reasons]
                if progress is not None:
                    progress(start + len(pixels), len(examples))
            file.flush()
            os.fsync(file.fileno())
        np.save(folder / "sizes.npy", np.full((len(examples), 2), side, dtype=np.int64))
        (folder / "broken.json").write_text(json.dumps(broken))

    return PixelStore(build_once(cache_dir / "images" / _key(examples, side), build))


def _chunks(examples: Sequence[Example], side: int) -> Iterator[tuple[int, Pixels, list[tuple[int, str]]]]:
    """(start, uint8 [n, 3, S, S], broken within the chunk) for all images, in order."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        for start in range(0, len(examples), _CHUNK):
            refs = [example.image for example in examples[start : start + _CHUNK]]
            pixels = np.zeros((len(refs), 3, side, side), dtype=np.uint8)
            files = [(i, ref) for i, ref in enumerate(refs) if isinstance(ref, str)]
            scenes: dict[str, list[int]] = {}
            for i, ref in enumerate(refs):
                if isinstance(ref, SceneImage):
                    scenes.setdefault(repr((ref.settings, ref.split)), []).append(i)
            for rows in scenes.values():
                pixels[rows] = render([ref for i in rows if isinstance(ref := refs[i], SceneImage)], side)
            reasons = []
            decoded = threads.map(lambda path: _decode_or_reason(path, side), [path for _, path in files])
            for (i, _), result in zip(files, decoded, strict=True):
                if isinstance(result, str):
                    reasons.append((i, result))
                else:
                    pixels[i] = result
            yield start, pixels, reasons


def _decode_or_reason(path: str, side: int) -> Pixels | str:
    if not os.path.isfile(path):
        return "missing image"
    try:
        return decode(path, side)
    except BROKEN_IMAGE_ERRORS as error:
        return f"corrupt image ({type(error).__name__}: {str(error) or 'cannot be decoded'})"


def _key(examples: Sequence[Example], side: int) -> str:
    """Hash of what the map shows: files by name, size and time of change; scenes by settings and a few renderings."""
    digest = hashlib.sha256(f"mmbench {__version__} side {side} layout square\n".encode())
    seen: dict[str, list[SceneImage]] = {}
    for example in examples:
        if isinstance(example.image, SceneImage):
            source = repr((example.image.settings, example.image.split))
            digest.update(f"{source} {example.image.index}\n".encode())
            seen.setdefault(source, []).append(example.image)
        else:
            digest.update(f"{os.path.basename(example.image)} {_state(example.image)}\n".encode())
    for scenes in seen.values():
        # A renderer that draws otherwise must not find the maps of the one before it.
        digest.update(render(scenes[:_NUM_FINGERPRINTED_SCENES], side).tobytes())
    return digest.hexdigest()[:32]


def _state(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (-1, 0)
    return (found.st_size, found.st_mtime_ns)
