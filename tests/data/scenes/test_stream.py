"""The random integers are pinned: other numbers would be another data set."""

import numpy as np

from mmbench.data.scenes.stream import LATER_PURPOSES, PURPOSES, Stream

PINNED = [0, 256, 781, 287, 115, 655]


def test_numbers_are_the_same_on_every_machine() -> None:
    assert Stream(7, 2, "layout").below(1000, 6).tolist() == PINNED
    assert Stream(-1, 0, "looks").below(1000, 3).tolist() != Stream(1, 0, "looks").below(1000, 3).tolist()


def test_range_and_shape() -> None:
    drawn = Stream(0, 0, "captions").below(5, (2000, 3))
    assert drawn.shape == (2000, 3) and drawn.dtype == np.int64
    assert np.abs(np.bincount(drawn.ravel(), minlength=5) / drawn.size - 0.2).max() < 0.03


def test_purposes_and_splits_have_draws_of_their_own() -> None:
    drawn = [
        Stream(0, split, purpose).words(4).tolist() for split in (0, 1, 3) for purpose in (*PURPOSES, *LATER_PURPOSES)
    ]
    assert len({tuple(words) for words in drawn}) == len(drawn)
