"""Counts of word n-grams in captions, as arrays; CIDEr and BLEU are sums over them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbench.metrics.captions.corpus import CaptionSet

MAX_ORDER = 4


@dataclass(frozen=True)
class NgramCounts:
    """The n-grams of one order: an entry for each n-gram of each caption, sorted by image, n-gram and caption.

    A *group* is the entries of one n-gram in one image; if the image's prediction has the n-gram, its entry is the
    first.
    """

    order: int
    """n"""
    num_distinct: int
    """number of different n-grams"""
    caption: NDArray[np.int64]
    """[entries] which caption"""
    ngram: NDArray[np.int64]
    """[entries] which n-gram"""
    count: NDArray[np.int64]
    """[entries] how often the caption has it"""
    is_reference: NDArray[np.bool_]
    """[entries] whether the caption is a reference"""
    group_start: NDArray[np.int64]
    """[groups] first entry of each group"""
    group: NDArray[np.int64]
    """[entries] which group"""
    example: NDArray[np.int64]
    """[num_distinct] a place in the tokens where the n-gram starts"""

    def document_frequency(self) -> NDArray[np.int64]:
        """[num_distinct] number of images that have the n-gram in a reference."""
        last = np.append(self.group_start, len(self.caption))[1:] - 1
        in_reference = self.group_start[self.is_reference[last]]
        return np.bincount(self.ngram[in_reference], minlength=self.num_distinct)


def count_ngrams(captions: CaptionSet) -> Iterator[NgramCounts]:
    """The counts for n = 1, 2, 3, 4, one after another."""
    caption_of_token = np.repeat(np.arange(len(captions.offsets) - 1), captions.lengths)
    remaining = np.repeat(captions.offsets[1:], captions.lengths) - np.arange(len(captions.tokens))
    num_slots = int(captions.slot_of_caption.max()) + 1
    first_caption = np.flatnonzero(captions.slot_of_caption == 0)
    place = np.arange(len(captions.tokens))
    ngram = captions.tokens
    for order in range(1, MAX_ORDER + 1):
        if order > 1:
            longer = remaining[place] >= order
            place = place[longer]
            code = ngram[longer] * len(captions.vocabulary) + captions.tokens[place + order - 1]
            ngram = _renumber(code)
        num_distinct = int(ngram.max(initial=-1)) + 1
        example = np.zeros(num_distinct, np.int64)
        example[ngram] = place
        caption = caption_of_token[place]
        # One number holds image, n-gram and slot, so that a single sort brings together all that is compared.
        key = (captions.image_of_caption[caption] * num_distinct + ngram) * num_slots + captions.slot_of_caption[
            caption
        ]
        key.sort()
        start = np.flatnonzero(np.diff(key, prepend=-1))
        image_and_ngram, slot = np.divmod(key[start], num_slots)
        image, ngram_of_entry = np.divmod(image_and_ngram, max(num_distinct, 1))
        opens_group = np.diff(image_and_ngram, prepend=-1) != 0
        yield NgramCounts(
            order=order,
            num_distinct=num_distinct,
            caption=first_caption[image] + slot,
            ngram=ngram_of_entry,
            count=np.diff(start, append=len(key)),
            is_reference=slot > 0,
            group_start=np.flatnonzero(opens_group),
            group=np.cumsum(opens_group) - 1,
            example=example,
        )


def sum_by(index: NDArray[np.int64], values: NDArray[np.float64] | NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """[size] sum of the values with each index."""
    # Without values NumPy would count, in integers.
    return np.bincount(index, values, minlength=size).astype(np.float64)


def _renumber(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Equal codes get equal numbers 0, 1, .. in the order of the codes."""
    bits = len(codes).bit_length()
    if int(codes.max(initial=0)) < 1 << (62 - bits):
        # Sorting codes together with their places is several times as fast as asking for the order.
        packed = codes << bits | np.arange(len(codes))
        packed.sort()
        order, ordered = packed & ((1 << bits) - 1), packed >> bits
    else:
        order = np.argsort(codes)
        ordered = codes[order]
    numbers = np.empty_like(codes)
    numbers[order] = np.cumsum(np.diff(ordered, prepend=-1) != 0) - 1
    return numbers
