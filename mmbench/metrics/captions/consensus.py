"""The caption that fits all images best: what a model would say that never looks at the image."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmbench.metrics.captions.cider import SIGMA
from mmbench.metrics.captions.corpus import CaptionSet, check_captions, tokenize_captions
from mmbench.metrics.captions.ngrams import MAX_ORDER, NgramCounts, count_ngrams, sum_by

_MAX_CELLS = 4_000_000  # of the tables of n-grams by lengths, so that memory stays below 100 MB


def consensus_caption(captions: Sequence[Sequence[str]]) -> str:
    """The caption with the highest mean CIDEr-D against the captions of all the other images.

    Exact, with no sampling: CIDEr-D is a sum over n-grams and references, so the references are added up once for each
    n-gram and length. Time and memory grow with the number of words, not of pairs (30,000 captions take about two
    seconds). Means that agree to 12 digits count as equal, and the first caption in the order of code points is taken.

    Args:
        captions: the captions of each training image.

    Raises:
        ValueError: no images, or an image without captions.
        TypeError: a caption that is not a string.
    """
    texts = [text for image in captions for text in image]
    scores = np.round(consensus_scores(captions), 12)
    return min(texts[place] for place in np.flatnonzero(scores == scores.max()))


def consensus_scores(captions: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """[captions] mean CIDEr-D of each caption against the captions of every other image, in the order given."""
    references = dict(enumerate(captions))
    check_captions(references, dict.fromkeys(references, ""))
    corpus = tokenize_captions(references, dict.fromkeys(references, ""))
    is_reference = corpus.slot_of_caption > 0
    if corpus.num_images == 1:
        return np.zeros(int(is_reference.sum()))
    num_bigrams = np.maximum(corpus.lengths - 1, 0)
    lengths, length_of_caption = np.unique(num_bigrams, return_inverse=True)
    penalty = np.exp(-((lengths[:, None] - lengths) ** 2) / (2 * SIGMA**2))  # [lengths, lengths]
    num_references = np.bincount(corpus.image_of_caption[is_reference])
    share = 1.0 / num_references[corpus.image_of_caption]
    total = np.zeros(len(corpus.image_of_caption))
    for ngrams in count_ngrams(corpus):
        total += _similarities(corpus, ngrams, share, length_of_caption, penalty)
    return 10.0 * total[is_reference] / MAX_ORDER / (corpus.num_images - 1)


def _similarities(
    corpus: CaptionSet,
    ngrams: NgramCounts,
    share: NDArray[np.float64],
    length: NDArray[np.int64],
    penalty: NDArray[np.float64],
) -> NDArray[np.float64]:
    """[captions] sum over the references of other images of the weighted similarity in n-grams of one order."""
    frequency = ngrams.document_frequency()
    idf = np.log(corpus.num_images) - np.log(np.maximum(1, frequency))
    num_captions = len(corpus.image_of_caption)
    norm = np.sqrt(sum_by(ngrams.caption, (ngrams.count * idf[ngrams.ngram]) ** 2, num_captions))
    # Only n-grams of several images count; they are put in order, so that each is in one place.
    entry = np.flatnonzero((frequency[ngrams.ngram] > 1) & (norm[ngrams.caption] > 0))
    entry = entry[np.argsort(ngrams.ngram[entry], kind="stable")]
    caption, count, ngram = ngrams.caption[entry], ngrams.count[entry], ngrams.ngram[entry]
    weight = share[caption] / norm[caption]
    everyone = _sum_by_length(ngram, count, length[caption], weight, penalty)
    own = _sum_in_groups(ngrams.group[entry], count, length[caption], weight, penalty)
    factor = idf[ngram] ** 2 / norm[caption]
    return sum_by(caption, factor * (everyone - own), num_captions)


def _sum_by_length(
    ngram: NDArray[np.int64],
    count: NDArray[np.int64],
    length: NDArray[np.int64],
    weight: NDArray[np.float64],
    penalty: NDArray[np.float64],
) -> NDArray[np.float64]:
    """[entries] for each entry h, the sum over entries r of its n-gram of min(h, r) r weight_r penalty."""
    result = np.zeros(len(ngram))
    number = np.cumsum(np.diff(ngram, prepend=-1) != 0) - 1
    num_lengths = len(penalty)
    block = max(1, _MAX_CELLS // num_lengths)
    for first in range(0, int(number.max(initial=-1)) + 1, block):
        part = slice(*np.searchsorted(number, [first, first + block]).tolist())
        row = number[part] - first
        cell = row * num_lengths + length[part]
        for own_count in np.unique(count[part]):
            product = np.minimum(count[part], own_count) * count[part] * weight[part]
            size = (int(row[-1]) + 1) * num_lengths
            table = sum_by(cell, product, size).reshape(-1, num_lengths) @ penalty
            asked = count[part] == own_count
            result[part][asked] = table.reshape(-1)[cell[asked]]
    return result


def _sum_in_groups(
    group: NDArray[np.int64],
    count: NDArray[np.int64],
    length: NDArray[np.int64],
    weight: NDArray[np.float64],
    penalty: NDArray[np.float64],
) -> NDArray[np.float64]:
    """[entries] the same sum over the entries of the same image alone."""
    order = np.argsort(group, kind="stable")
    start = np.flatnonzero(np.diff(group[order], prepend=-1))
    size = np.diff(start, append=len(order))
    size_of_entry, start_of_entry = np.repeat(size, size), np.repeat(start, size)
    one = np.repeat(np.arange(len(order)), size_of_entry)
    within = np.arange(len(one)) - np.repeat(np.cumsum(size_of_entry) - size_of_entry, size_of_entry)
    one, other = order[one], order[start_of_entry[one] + within]
    product = np.minimum(count[one], count[other]) * count[other] * weight[other] * penalty[length[other], length[one]]
    return sum_by(one, product, len(group))
