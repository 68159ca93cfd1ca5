"""ROUGE-L (Lin 2004) with the beta and the independent maxima of COCO's caption evaluation."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from mmbench.metrics.captions.corpus import CaptionSet, check_captions, tokenize_captions
from mmbench.metrics.ids import Id, Missing

_BETA_SQUARED = 1.2**2


def rouge_l(
    references: Mapping[Id, Sequence[str]], predictions: Mapping[Id, str], missing: Missing = "error"
) -> dict[Id, float]:
    """ROUGE-L of each image, 0..1, from raw captions; the corpus score is their mean.

    The best precision and the best recall may come from different references. An empty prediction equals an empty
    reference.

    Raises:
        ValueError: no samples, an image without references, missing or unknown ids.
        TypeError: a caption that is not a string.
    """
    predictions = check_captions(references, predictions, missing)
    captions = tokenize_captions(references, predictions, split_tokens=False)
    return dict(zip(references, score_rouge_l(captions), strict=True))


def score_rouge_l(captions: CaptionSet) -> list[float]:
    """[images] ROUGE-L of captions tokenised without cutting tokens at no-break spaces."""
    tokens = captions.tokens.tolist()
    bounds = captions.offsets.tolist()
    # An empty caption counts as one empty word, which equals only itself.
    words = [tokens[start:end] or [-1] for start, end in pairwise(bounds)]
    best_precision = [0.0] * captions.num_images
    best_recall = [0.0] * captions.num_images
    prediction: list[int] = []
    places: dict[int, int] = {}
    for image, slot, caption in zip(
        captions.image_of_caption.tolist(), captions.slot_of_caption.tolist(), words, strict=True
    ):
        if slot == 0:
            prediction, places = caption, _places(caption)
            continue
        common = _common_subsequence(places, len(prediction), caption)
        best_precision[image] = max(best_precision[image], common / len(prediction))
        best_recall[image] = max(best_recall[image], common / len(caption))
    return [_f_score(p, r) for p, r in zip(best_precision, best_recall, strict=True)]


def _f_score(precision: float, recall: float) -> float:
    if precision == 0 or recall == 0:
        return 0.0
    return ((1 + _BETA_SQUARED) * precision * recall) / (recall + _BETA_SQUARED * precision)


def _places(words: list[int]) -> dict[int, int]:
    """For each word the set of its places, as the bits of an integer."""
    places: dict[int, int] = {}
    for place, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << place
    return places


def _common_subsequence(places: dict[int, int], length: int, other: list[int]) -> int:
    """Length of the longest common subsequence, a row of the table at a time as bits (Hyyro 2004)."""
    full = (1 << length) - 1
    row = full  # a zero bit marks where the longest subsequence grows by one
    for word in other:
        matches = row & places.get(word, 0)
        row = ((row + matches) | (row - matches)) & full
    return length - row.bit_count()
