"""BLEU-1..4 (Papineni et al. 2002) with the smoothing and the closest reference length of COCO's caption evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from mmbench.metrics.captions.corpus import CaptionSet, check_captions, tokenize_captions
from mmbench.metrics.captions.ngrams import MAX_ORDER, count_ngrams, sum_by
from mmbench.metrics.ids import Id, Missing

_TINY, _SMALL = 1e-15, 1e-9  # keep divisions defined; part of the definition, since they show in scores near 0


@dataclass(frozen=True)
class BleuScores(Generic[Id]):
    """BLEU-1..4, as fractions."""

    corpus: tuple[float, ...]
    """from the corpus's summed counts; not the mean of `per_image`"""
    per_image: dict[Id, tuple[float, ...]]
    """of each image by itself"""


def bleu(
    references: Mapping[Id, Sequence[str]], predictions: Mapping[Id, str], missing: Missing = "error"
) -> BleuScores[Id]:
    """BLEU-1..4 of the corpus and of each image, from raw captions.

    Raises:
        ValueError: no samples, an image without references, missing or unknown ids.
        TypeError: a caption that is not a string.
    """
    predictions = check_captions(references, predictions, missing)
    corpus, per_image = score_bleu(tokenize_captions(references, predictions))
    return BleuScores(tuple(corpus.tolist()), dict(zip(references, map(tuple, per_image.tolist()), strict=True)))


def score_bleu(captions: CaptionSet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """BLEU-1..4 of tokenised captions: of the corpus [4], and of each image [images, 4]."""
    is_reference = captions.slot_of_caption > 0
    length = captions.lengths[~is_reference]
    correct = np.zeros((captions.num_images, MAX_ORDER))
    for ngrams in count_ngrams(captions):
        if not len(ngrams.caption):
            break
        most = np.maximum.reduceat(np.where(ngrams.is_reference, ngrams.count, 0), ngrams.group_start)
        predicted = ngrams.group_start[~ngrams.is_reference[ngrams.group_start]]
        clipped = np.minimum(ngrams.count[predicted], most[ngrams.group[predicted]])
        image = captions.image_of_caption[ngrams.caption[predicted]]
        correct[:, ngrams.order - 1] = sum_by(image, clipped, captions.num_images)
    guessed = np.maximum(length[:, None] - np.arange(MAX_ORDER), 0)
    reference_length = _closest_lengths(captions, length)
    corpus = _bleu(correct.sum(0), guessed.sum(0), length.sum(), reference_length.sum())
    return corpus, _bleu(correct, guessed, length, reference_length)


def _closest_lengths(captions: CaptionSet, length: NDArray[np.int64]) -> NDArray[np.int64]:
    """[images] the length of the reference nearest to the prediction's, the shorter one of two equally near."""
    is_reference = captions.slot_of_caption > 0
    reference_length = captions.lengths[is_reference]
    image = captions.image_of_caption[is_reference]
    base = int(captions.lengths.max()) + 1
    distance = np.abs(reference_length - length[image])
    best = np.full(captions.num_images, np.iinfo(np.int64).max)
    np.minimum.at(best, image, distance * base + reference_length)
    return best % base


def _bleu(
    correct: NDArray[np.float64],
    guessed: NDArray[np.int64],
    length: NDArray[np.int64],
    reference_length: NDArray[np.int64],
) -> NDArray[np.float64]:
    """[..., 4] geometric means of the precisions of [..., 4] counts, times the penalty for short predictions."""
    precision = np.cumprod((correct + _TINY) / (guessed + _SMALL), axis=-1)
    scores: NDArray[np.float64] = precision ** (1.0 / np.arange(1, MAX_ORDER + 1))
    ratio = (length + _TINY) / (reference_length + _SMALL)
    with np.errstate(under="ignore"):
        return scores * np.exp(np.minimum(1 - 1 / ratio, 0))[..., None]
