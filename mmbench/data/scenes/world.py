"""What stands in each scene: objects with their attributes and places, and the background, drawn for a whole split."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbench.data.scenes.stream import Stream
from mmbench.data.scenes.vocabulary import COLORS, HELD_OUT, QUADRANTS, SHADES, SHAPES, SIZES

NUM_CELLS = len(QUADRANTS)
NUM_OFFSETS = 7
"""Places an object may take inside its cell, along each axis; the middle one is the cell's centre."""
NUM_RADII = 3
"""Radii within one size, so that no two large circles need be alike."""
NOISE_TABLE = 1 << 20
"""Entries of the noise table; a picture reads a run of it that starts in the first half."""

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class World:
    """The scenes of one split. n scenes, 4 cells (in reading order) that each hold at most one object."""

    present: Booleans
    """[n, 4] whether the cell holds an object; the other arrays mean nothing where it does not."""
    color: Integers
    """[n, 4] index into ``COLORS``."""
    shape: Integers
    """[n, 4] index into ``SHAPES``."""
    size: Integers
    """[n, 4] index into ``SIZES``."""
    held_out: Booleans
    """[n, 4] whether the object is present and of a combination that training never shows."""
    radius: Integers
    """[n, 4] the radius within its size, 0 .. NUM_RADII - 1."""
    offset: Integers
    """[n, 4, 2] place (x, y) inside the cell, 0 .. NUM_OFFSETS - 1."""
    tint: Integers
    """[n, 4, 3] added to the object's red, green and blue, in 255ths."""
    shade: Integers
    """[n] index into ``SHADES``."""
    background: Integers
    """[n, 3] mean red, green and blue of the background, in 255ths."""
    gradient: Integers
    """[n, 2] how much brighter the background's right (lower) edge is than its left (upper) one, in 255ths."""
    noise_level: Integers
    """[n] largest noise, in 255ths."""
    noise_start: Integers
    """[n] where in the noise table the picture's noise begins."""

    def __len__(self) -> int:
        return len(self.present)


def sample_world(seed: int, split: int, num_scenes: int, composition: bool) -> World:
    """Draw the scenes of split number ``split``: 2 to 4 objects each.

    Two thirds of the scenes repeat a shape or a color, so that counts above one are not rare. Without ``composition``
    no object has a held-out combination; with it, each scene has at least one.
    """
    layout, looks = Stream(seed, split, "layout"), Stream(seed, split, "looks")
    cells = (num_scenes, NUM_CELLS)
    num_objects = 2 + layout.below(3, num_scenes)
    rank = np.argsort(np.argsort(layout.words(cells), axis=1, kind="stable"), axis=1, kind="stable")
    present = rank < num_objects[:, None]
    color, shape = _colors_and_shapes(layout, num_scenes)
    if composition:
        pairs = np.array(HELD_OUT)[layout.below(len(HELD_OUT), cells)]
        # the object of rank 0 is always present; one in six of the others joins it
        chosen = (rank == 0) | (layout.below(6, cells) == 0)
        color, shape = np.where(chosen, pairs[..., 0], color), np.where(chosen, pairs[..., 1], shape)
    shade = looks.below(len(SHADES), num_scenes)
    grey = np.array([84, 124])[shade] + looks.below(16, num_scenes)
    return World(
        present=present,
        color=color,
        shape=shape,
        size=layout.below(len(SIZES), cells),
        held_out=present & _HELD_OUT_TABLE[color, shape],
        radius=looks.below(NUM_RADII, cells),
        offset=looks.below(NUM_OFFSETS, (*cells, 2)),
        tint=looks.below(25, (*cells, 3)) - 12,
        shade=shade,
        background=grey[:, None] + looks.below(17, (num_scenes, 3)) - 8,
        gradient=looks.below(41, (num_scenes, 2)) - 20,
        noise_level=looks.below(11, num_scenes),
        noise_start=looks.below(NOISE_TABLE // 2, num_scenes),
    )


def _colors_and_shapes(layout: Stream, num_scenes: int) -> tuple[Integers, Integers]:
    """[n, 4] each, without held-out combinations; colors and shapes are uniform, alone and in the repeats."""
    cells = (num_scenes, NUM_CELLS)
    repeats = layout.below(3, (num_scenes, 1))  # 0 nothing, 1 a shape, 2 a color
    joins = layout.below(3, cells) > 0
    common_color = layout.below(len(COLORS), (num_scenes, 1))
    color = np.where(joins & (repeats == 2), common_color, layout.below(len(COLORS), cells))
    shape = _pick(layout, _SHAPES_OF_COLOR[color])
    common_shape = np.broadcast_to(layout.below(len(SHAPES), (num_scenes, 1)), cells)
    its_color = _pick(layout, _COLORS_OF_SHAPE[common_shape])
    takes_shape = joins & (repeats == 1)
    return np.where(takes_shape, its_color, color), np.where(takes_shape, common_shape, shape)


def _pick(layout: Stream, choices: Integers) -> Integers:
    """One of the last axis, each with the same chance."""
    which = layout.below(choices.shape[-1], choices.shape[:-1])
    return np.take_along_axis(choices, which[..., None], axis=-1)[..., 0]


_HELD_OUT_TABLE: Booleans = np.zeros((len(COLORS), len(SHAPES)), dtype=np.bool_)
for _color, _shape in HELD_OUT:
    _HELD_OUT_TABLE[_color, _shape] = True

# Each row lists what may go with it, repeated so that a uniform draw gives the right chances: a color that lost one
# shape shares its 1/6 among three shapes, one that lost none among four.
_SHAPES_OF_COLOR: Integers = np.array(
    [[s for s in range(len(SHAPES)) if not row[s] for _ in range(12 // int((~row).sum()))] for row in _HELD_OUT_TABLE]
)
_COLORS_OF_SHAPE: Integers = np.array(
    [
        [c for c in range(len(COLORS)) if not lost[c] for _ in range(12 // int((~_HELD_OUT_TABLE[c]).sum()))]
        for lost in _HELD_OUT_TABLE.T
    ]
)
