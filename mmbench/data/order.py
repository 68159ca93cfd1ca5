"""The order of the data: pure functions of (seed, step), drawn anew each epoch, the same on any machine.

Raw 64-bit draws of Philox are used alone, since NumPy promises these, and not its distributions, to stay the same
from release to release.
"""

from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


class Stream(IntEnum):
    """What is drawn; each purpose has draws of its own."""

    ORDER = 0
    CAPTIONS = 1
    QUESTIONS = 2
    ANSWERS = 3
    SUBSET = 4


def rows_of_step(seed: int, step: int, batch_rows: int, num_images: int) -> Indices:
    """Which images the global batch of an optimiser step holds.

    Args:
        seed: training seed, 0 or above.
        step: optimiser step, from 0.
        batch_rows: rows of the global batch.
        num_images: images of the split.

    Returns:
        int64 [batch_rows] in [0, num_images). Each epoch is a permutation of all images; a batch may span two.
    """
    indices, _ = positions_of_step(seed, step, batch_rows, num_images)
    return indices


def positions_of_step(
    seed: int, step: int, batch_rows: int, num_images: int, first_epoch: Indices | None = None
) -> tuple[Indices, Indices]:
    """As `rows_of_step`, with the epoch of each row: ([batch_rows], [batch_rows]).

    ``first_epoch`` is a permutation for the first epoch in the place of its own, for instance `by_difficulty`.
    """
    places = np.arange(step * batch_rows, (step + 1) * batch_rows, dtype=np.int64)
    epochs, within = places // num_images, places % num_images
    indices = np.empty(batch_rows, dtype=np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        given = first_epoch if epoch == 0 else None
        order = permutation(seed, int(epoch), num_images) if given is None else given
        indices[here] = order[within[here]]
    return indices, epochs


def by_difficulty(seed: int, difficulty: NDArray[np.float64], num_levels: int = 4) -> Indices:
    """The first epoch's permutation in levels of rising difficulty: as many images in each, shuffled within a level.

    Images of equal difficulty between two levels are shared out by the shuffled order. Bengio et al. 2009.
    """
    order = permutation(seed, 0, len(difficulty))
    places = np.argsort(difficulty[order], kind="stable")
    return np.concatenate([order[np.sort(level)] for level in np.array_split(places, num_levels)])


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, num_images: int, stream: Stream = Stream.ORDER) -> Indices:
    """A permutation of [0, num_images), int64."""
    order = np.argsort(draws(seed, epoch, num_images, stream), kind="stable").astype(np.int64)
    order.flags.writeable = False
    return order


@lru_cache(maxsize=16)
def draws(seed: int, epoch: int, count: int, stream: Stream) -> NDArray[np.uint64]:
    """uint64 [count] uniform draws keyed by (seed, epoch, stream); item i does not depend on ``count``."""
    # The upper half of the keys is the order's: the built-in scenes draw from the lower half, and an order that shared
    # their draws would sort the images by what they show.
    key = np.array([seed % 2**64, (1 << 63) + epoch * len(Stream) + int(stream)], dtype=np.uint64)
    values: NDArray[np.uint64] = np.random.Philox(key=key).random_raw(count)
    values.flags.writeable = False
    return values
