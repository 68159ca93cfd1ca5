"""Draws scenes as pictures with even sides, in integer arithmetic only, so that every machine draws the same bytes."""

import numpy as np
from numpy.typing import NDArray

from mmbench.config.errors import UserError
from mmbench.data.scenes.frames import SMALLEST_SIDE
from mmbench.data.scenes.stream import Stream
from mmbench.data.scenes.vocabulary import SHAPES
from mmbench.data.scenes.world import NOISE_TABLE, NUM_CELLS, NUM_OFFSETS, NUM_RADII, Booleans, Integers, World

CELL = 576
"""Shorter side of one cell of the 2 x 2 grid in scene units: 24 units are one pixel of a 48 px picture."""
OFFSET_STEP = 10
"""Scene units between neighbouring places inside a cell."""
RADII = ((144, 150, 156), (232, 240, 248))
"""Scene units, by size and radius index; with the largest offset an object still ends inside its cell."""
PALETTE = ((214, 40, 40), (36, 160, 60), (40, 84, 222), (240, 214, 36), (142, 44, 172), (246, 134, 24))
"""Mean red, green, blue of each color."""
SAMPLES = 4
"""Samples a pixel along each axis; coverage has SAMPLES**2 steps."""
CHUNK_PIXELS = 1 << 20
"""Pixels drawn at once, which bounds the memory to some tens of MB."""


def render(world: World, indices: NDArray[np.integer], height: int, width: int) -> NDArray[np.uint8]:
    """Pictures ``[len(indices), 3, height, width]``, red, green, blue, 0 .. 255.

    The four cells grow with the picture; the objects in them have the size that the shorter side gives them. Both
    sides must be even and the longer one at least 32.
    """
    if max(height, width) < SMALLEST_SIDE or height % 2 or width % 2:
        raise UserError(
            f"scenes are drawn with an even side of at least {SMALLEST_SIDE} px, not "
            f"{height if height == width else f'{height} x {width}'}; choose e.g. 48"
        )
    pictures = np.empty((len(indices), 3, height, width), dtype=np.uint8)
    noise = _noise_table(3 * height * width)
    chunk = max(1, CHUNK_PIXELS // (height * width))
    for first in range(0, len(indices), chunk):
        scenes = np.asarray(indices[first : first + chunk], dtype=np.int64)
        pictures[first : first + chunk] = _draw(world, scenes, height, width, noise)
    return pictures


def _draw(world: World, scenes: Integers, height: int, width: int, noise: NDArray[np.int16]) -> NDArray[np.uint8]:
    rows, columns, full = height // 2, width // 2, SAMPLES**2
    coverage = _coverage(world, scenes, rows, columns)  # [n, 4, rows, columns]
    rgb = (np.array(PALETTE)[world.color[scenes]] + world.tint[scenes]).astype(np.int16)  # [n, 4, 3]
    canvas = _background(world, scenes, height, width)  # [n, 3, height, width]
    for cell in range(NUM_CELLS):
        row, column = divmod(cell, 2)
        under = canvas[:, :, row * rows : (row + 1) * rows, column * columns : (column + 1) * columns]
        weight = coverage[:, cell, None]
        under += ((rgb[:, cell, :, None, None] - under) * weight + full // 2) // full
    run = world.noise_start[scenes, None] + np.arange(3 * height * width)
    level = world.noise_level[scenes].astype(np.int16)[:, None]
    canvas += ((noise[run] * level) >> 7).reshape(canvas.shape)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _background(world: World, scenes: Integers, height: int, width: int) -> NDArray[np.int16]:
    """[n, 3, height, width] a muted tone that changes linearly over the picture."""
    across, down = (_ramp(world.gradient[scenes, axis], side) for axis, side in enumerate((width, height)))
    tone: Integers = world.background[scenes][:, :, None, None] + down[:, None, :, None] + across[:, None, None, :]
    return tone.astype(np.int16)


def _ramp(gradient: Integers, side: int) -> Integers:
    """[n, side] from minus half of each gradient to plus half of it."""
    return (gradient[:, None] * (2 * np.arange(side) + 1 - side)) // (2 * side)


def _noise_table(run: int) -> NDArray[np.int16]:
    """[NOISE_TABLE / 2 + run] numbers in -128 .. 127 with a triangular distribution; the same for all scenes."""
    half = (Stream(0, 0, "noise").words(NOISE_TABLE // 2) >> np.uint64(48)).astype(np.int64)
    values: NDArray[np.int64] = ((half & 255) + (half >> 8) + 1) // 2 - 128
    return np.resize(values.astype(np.int16), NOISE_TABLE // 2 + run)


def _coverage(world: World, scenes: Integers, rows: int, columns: int) -> NDArray[np.int16]:
    """[n, 4, rows, columns] how many of a pixel's samples each cell's object covers; 0 where the cell is empty.

    Equal objects look equal, so each is drawn once: a few hundred distinct ones serve any number of scenes.
    """
    offset = world.offset[scenes]
    kind = (world.shape[scenes] * len(RADII) + world.size[scenes]) * NUM_RADII + world.radius[scenes]
    key = (kind * NUM_OFFSETS + offset[..., 0]) * NUM_OFFSETS + offset[..., 1]
    keys, where = np.unique(key, return_inverse=True)
    sprites: NDArray[np.int16] = np.stack([_sprite(int(key), rows, columns) for key in keys])
    coverage: NDArray[np.int16] = sprites[where.reshape(key.shape)]
    coverage[~world.present[scenes]] = 0
    return coverage


_SPRITES: dict[tuple[int, int, int], NDArray[np.int16]] = {}
_MAX_SPRITE_SIDE = 32  # larger ones are for a few pictures at a time and not worth the memory


def _sprite(key: int, rows: int, columns: int) -> NDArray[np.int16]:
    """[rows, columns] samples covered by the object ``key`` in a cell of so many pixels."""
    if (key, rows, columns) in _SPRITES:
        return _SPRITES[key, rows, columns]
    rest, offset_y = divmod(key, NUM_OFFSETS)
    rest, offset_x = divmod(rest, NUM_OFFSETS)
    rest, radius = divmod(rest, NUM_RADII)
    shape, size = divmod(rest, len(RADII))
    scale = 2 * min(rows, columns) * SAMPLES  # all lengths times this, so that sample centres are whole numbers
    x, y = _from_object(columns, offset_x, scale), _from_object(rows, offset_y, scale)
    covered: Booleans = _inside(SHAPES[shape], x[None, :], y[:, None], scale * RADII[size][radius])
    counts: NDArray[np.int16] = covered.reshape(rows, SAMPLES, columns, SAMPLES).sum(axis=(1, 3), dtype=np.int16)
    if max(rows, columns) <= _MAX_SPRITE_SIDE:
        _SPRITES[key, rows, columns] = counts
    return counts


def _from_object(num_pixels: int, offset: int, scale: int) -> Integers:
    """[num_pixels * SAMPLES] how far each sample along an axis of a cell is from its object's centre."""
    num_samples = num_pixels * SAMPLES
    from_middle = (2 * np.arange(num_samples) + 1 - num_samples) * CELL
    return from_middle - scale * OFFSET_STEP * (offset - NUM_OFFSETS // 2)


def _inside(shape: str, x: Integers, y: Integers, radius: int) -> Booleans:
    """Which points (y grows downwards) lie inside a shape that fits a circle of about that radius."""
    if shape == "circle":
        return x * x + y * y <= radius * radius
    if shape == "square":
        return (100 * np.abs(x) <= 86 * radius) & (100 * np.abs(y) <= 86 * radius)
    if shape == "triangle":
        return (100 * y <= 80 * radius) & (180 * np.abs(x) <= 100 * (y + radius))
    wide, narrow = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
    return (wide <= radius) & (100 * narrow <= 32 * radius)
