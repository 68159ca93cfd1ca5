"""CIDEr-D and CIDEr (Vedantam, Zitnick, Parikh 2015, arXiv 1411.5726), as COCO's caption evaluation computes them."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbench.metrics.captions.corpus import CaptionSet, check_captions, tokenize_captions
from mmbench.metrics.captions.ngrams import MAX_ORDER, NgramCounts, count_ngrams, sum_by
from mmbench.metrics.ids import Id, Missing

SIGMA = 6.0
"""Width of the penalty on the difference of lengths, in bigrams."""


@dataclass(frozen=True)
class DocumentFrequency:
    """A fixed table of document frequencies, so that a score does not depend on the other images of the evaluation."""

    num_documents: int
    """number of images the table was counted on"""
    counts: Mapping[tuple[str, ...], float]
    """for each n-gram, in how many images' references it stands"""

    @classmethod
    def of(cls, references: Mapping[Id, Sequence[str]]) -> "DocumentFrequency":
        """The table of a corpus of raw references.

        Raises:
            ValueError, TypeError: as `check_captions`.
        """
        check_captions(references, dict.fromkeys(references, ""))
        captions = tokenize_captions(references, dict.fromkeys(references, ""))
        counts: dict[tuple[str, ...], float] = {}
        for ngrams in count_ngrams(captions):
            frequencies = ngrams.document_frequency().tolist()
            counts.update(zip(_words(captions, ngrams), frequencies, strict=True))
        return cls(captions.num_images, counts)


def cider_d(
    references: Mapping[Id, Sequence[str]],
    predictions: Mapping[Id, str],
    document_frequency: DocumentFrequency | None = None,
    missing: Missing = "error",
) -> dict[Id, float]:
    """CIDEr-D of each image, 0..10; the corpus score is their mean.

    The document frequencies are those of the evaluated references, unless a table is given: then a score depends on
    the set of images that are evaluated together, and is 0 for all of them if there is only one.

    Args:
        references: raw reference captions of each image.
        predictions: raw caption of each image.
        document_frequency: a fixed table instead of the corpus's own.
        missing: "zero" scores images without prediction as empty predictions.

    Raises:
        ValueError: no samples, an image without references, missing or unknown ids.
        TypeError: a caption that is not a string.
    """
    predictions = check_captions(references, predictions, missing)
    scores = score_cider(tokenize_captions(references, predictions), document_frequency)
    return dict(zip(references, scores.tolist(), strict=True))


def cider(
    references: Mapping[Id, Sequence[str]],
    predictions: Mapping[Id, str],
    document_frequency: DocumentFrequency | None = None,
    missing: Missing = "error",
) -> dict[Id, float]:
    """CIDEr of each image: as `cider_d`, without clipped counts and without the penalty on the length."""
    predictions = check_captions(references, predictions, missing)
    captions = tokenize_captions(references, predictions)
    return dict(zip(references, score_cider(captions, document_frequency, robust=False).tolist(), strict=True))


def score_cider(
    captions: CaptionSet, document_frequency: DocumentFrequency | None = None, robust: bool = True
) -> NDArray[np.float64]:
    """[images] CIDEr-D, or CIDEr where not `robust`, of tokenised captions."""
    if document_frequency is None:
        if captions.num_images == 1:
            warnings.warn("CIDEr-D is 0 for one image: its document frequencies come from the images", stacklevel=3)
        elif not captions.lengths[captions.slot_of_caption > 0].any():
            warnings.warn("CIDEr-D is 0: all references are empty", stacklevel=3)
    num_captions = len(captions.image_of_caption)
    is_reference = captions.slot_of_caption > 0
    prediction_of = np.flatnonzero(~is_reference)[captions.image_of_caption]
    total = np.zeros(num_captions)
    for ngrams in count_ngrams(captions):
        idf = _idf(captions, ngrams, document_frequency)
        weight = ngrams.count * idf[ngrams.ngram]
        norm = np.sqrt(sum_by(ngrams.caption, weight**2, num_captions))
        opener = ngrams.group_start[ngrams.group]
        shared = np.flatnonzero(ngrams.is_reference & ~ngrams.is_reference[opener])
        predicted, reference = weight[opener[shared]], weight[shared]
        product = (np.minimum(predicted, reference) if robust else predicted) * reference
        dot = sum_by(ngrams.caption[shared], product, num_captions)
        norms = norm[prediction_of] * norm
        total += np.divide(dot, norms, out=dot, where=norms != 0)
    if robust:
        num_bigrams = np.maximum(captions.lengths - 1, 0)
        total *= np.exp(-((num_bigrams[prediction_of] - num_bigrams) ** 2) / (2 * SIGMA**2))
    per_image = np.bincount(captions.image_of_caption[is_reference], total[is_reference])
    num_references = np.bincount(captions.image_of_caption[is_reference])
    return 10.0 * per_image / MAX_ORDER / num_references


def _idf(captions: CaptionSet, ngrams: NgramCounts, table: DocumentFrequency | None) -> NDArray[np.float64]:
    """[num_distinct] ln(documents) - ln(max(1, document frequency))."""
    if table is None:
        frequency: NDArray[np.float64] = ngrams.document_frequency().astype(np.float64)
        num_documents = captions.num_images
    else:
        frequency = np.array([table.counts.get(words, 0.0) for words in _words(captions, ngrams)], np.float64)
        num_documents = table.num_documents
    idf: NDArray[np.float64] = np.log(float(num_documents)) - np.log(np.maximum(1.0, frequency))
    return idf


def _words(captions: CaptionSet, ngrams: NgramCounts) -> list[tuple[str, ...]]:
    """The n-grams as words, in the order of their numbers."""
    places = ngrams.example[:, None] + np.arange(ngrams.order)
    return [tuple(captions.vocabulary[token] for token in row) for row in captions.tokens[places].tolist()]
