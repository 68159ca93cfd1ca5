"""Foils: for each caption one of another image, to tell apart from it; a pure function of the split."""

from collections.abc import Sequence

import numpy as np


def foils(captions: Sequence[tuple[int, str]]) -> list[int | None]:
    """The place of each caption's foil: drawn among the captions of other images that its own image does not have too.

    Args:
        captions: (image, text) of each caption.

    Returns:
        for each caption a place in ``captions``; None where every other image is described by the same words.
    """
    own: dict[int, set[str]] = {}
    for image, text in captions:
        own.setdefault(image, set()).add(text)
    draws = np.random.Generator(np.random.Philox(key=0)).integers(len(captions), size=len(captions))
    found: list[int | None] = []
    for (image, _), start in zip(captions, draws.tolist(), strict=True):
        # From a place that was drawn, the next caption that will do.
        places = ((start + step) % len(captions) for step in range(len(captions)))
        told_apart = (p for p in places if captions[p][0] != image and captions[p][1] not in own[image])
        found.append(next(told_apart, None))
    return found
