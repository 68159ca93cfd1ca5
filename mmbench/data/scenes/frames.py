"""How wide and high the picture of each scene is: a draw apart from what it shows."""

import numpy as np
from numpy.typing import NDArray

from mmbench.config.data import ScenesSettings
from mmbench.config.errors import UserError
from mmbench.data.scenes.stream import Stream
from mmbench.data.scenes.world import Integers

MOST_OBLONG = 4.0
"""The longer side is at most so many times the shorter one."""
SMALLEST_SIDE = 32
"""Least pixels of the longer side."""


def check_frames(settings: ScenesSettings) -> None:
    """Refuse shapes of pictures that the renderer does not draw.

    Raises:
        UserError: the setting, its value, and what is allowed.
    """
    if not settings.aspects or not all(1 / MOST_OBLONG <= aspect <= MOST_OBLONG for aspect in settings.aspects):
        raise UserError(
            f"scenes.aspects is {settings.aspects}; give one or more numbers from {1 / MOST_OBLONG:g} to "
            f"{MOST_OBLONG:g} (width over height)"
        )
    if not all(side >= SMALLEST_SIDE and side % 2 == 0 for side in settings.sides):
        raise UserError(
            f"scenes.sides is {settings.sides}; each must be an even number of at least {SMALLEST_SIDE} pixels"
        )


def draw_aspects(settings: ScenesSettings, split: int, num_scenes: int) -> NDArray[np.float64]:
    """[n] width over height of each scene of split number ``split``."""
    drawn = Stream(settings.seed, split, "aspects").below(len(settings.aspects), num_scenes)
    return np.array(settings.aspects, dtype=np.float64)[drawn]


def draw_sides(settings: ScenesSettings, split: int, num_scenes: int, canvas: int) -> Integers:
    """[n] the longer side of each scene in pixels; that of the canvas where the settings name none."""
    if not settings.sides:
        return np.full(num_scenes, canvas, dtype=np.int64)
    drawn = Stream(settings.seed, split, "sides").below(len(settings.sides), num_scenes)
    return np.array(settings.sides, dtype=np.int64)[drawn]


def frame(aspect: float, longer: int) -> tuple[int, int]:
    """Height and width in pixels of a picture with this aspect ratio and longer side; the shorter one is even."""
    shorter = longer if aspect == 1 else 2 * max(1, round(longer * min(aspect, 1 / aspect) / 2))
    return (shorter, longer) if aspect >= 1 else (longer, shorter)
