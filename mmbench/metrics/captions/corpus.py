"""References and predictions of captions: checked, tokenised, and laid out image by image for the metrics."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbench.metrics.ids import Id, Missing, match_ids
from mmbench.metrics.ptb import encode


@dataclass(frozen=True)
class CaptionSet:
    """Tokenised captions of N images: of each image first its prediction, then its references.

    `tokens[offsets[c]:offsets[c + 1]]` are the tokens of caption c, as indices into `vocabulary`.
    """

    tokens: NDArray[np.int64]
    """[all tokens]"""
    offsets: NDArray[np.int64]
    """[captions + 1]"""
    vocabulary: list[str]
    """token strings"""
    image_of_caption: NDArray[np.int64]
    """[captions] 0..N-1"""
    slot_of_caption: NDArray[np.int64]
    """[captions] 0 for the prediction, 1.. for the references of the image"""

    @property
    def num_images(self) -> int:
        return int(self.image_of_caption[-1]) + 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[captions] number of tokens."""
        return np.diff(self.offsets)


def tokenize_captions(
    references: Mapping[Id, Sequence[str]], predictions: Mapping[Id, str], split_tokens: bool = True
) -> CaptionSet:
    """Tokenise raw references and predictions, which have the same ids, in the order of `references`.

    As in the reference, all references are one text and all predictions another, each in its own order: at a
    caption's end the tokeniser may look at the next one.
    """
    texts = [text for image in references for text in references[image]]
    prediction_place = {image: len(texts) + place for place, image in enumerate(predictions)}
    corpus = encode([texts, list(predictions.values())], split_tokens)

    num_references = np.fromiter((len(captions) for captions in references.values()), np.int64, len(references))
    num_captions = num_references + 1
    starts = np.cumsum(num_captions) - num_captions
    order = np.zeros(int(num_captions.sum()), np.int64)
    is_reference = np.ones(len(order), bool)
    is_reference[starts] = False
    order[is_reference] = np.arange(len(texts))
    order[starts] = [prediction_place[image] for image in references]

    lengths = np.diff(corpus.offsets)[order]
    ends = np.cumsum(lengths)
    from_token = np.repeat(corpus.offsets[order] - (ends - lengths), lengths) + np.arange(ends[-1])
    image_of_caption = np.repeat(np.arange(len(references)), num_captions)
    return CaptionSet(
        tokens=corpus.ids[from_token],
        offsets=np.concatenate([[0], ends]),
        vocabulary=corpus.vocabulary,
        image_of_caption=image_of_caption,
        slot_of_caption=np.arange(len(order)) - starts[image_of_caption],
    )


def check_captions(
    references: Mapping[Id, Sequence[str]], predictions: Mapping[Id, str], missing: Missing = "error"
) -> Mapping[Id, str]:
    """The predictions to score, or an error that names the ids.

    Args:
        references: one or more reference captions of each image.
        predictions: the caption of each image.
        missing: "zero" scores a missing prediction as an empty one and warns; "error" refuses.

    Raises:
        ValueError: nothing to score; an image without references; ids that are missing or unknown.
        TypeError: a caption that is not a string.
    """
    if not references:
        raise ValueError("no samples: there are no references to score against")
    for image, texts in references.items():
        if isinstance(texts, str):
            raise TypeError(f"the references of {image!r} are one string; give a list of strings")
        if not texts:
            raise ValueError(f"image {image!r} has no references")
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"a reference of {image!r} is of type {type(text).__name__}, not a string")
            if not text.strip():
                warnings.warn(f"a reference of {image!r} is empty", stacklevel=3)
    for image, prediction in predictions.items():
        if not isinstance(prediction, str):
            raise TypeError(f"the prediction of {image!r} is of type {type(prediction).__name__}, not a string")
    return match_ids(references, predictions, missing)


def num_empty_predictions(captions: CaptionSet) -> int:
    """How many predictions have no token left: they were empty, or punctuation only."""
    return int(np.count_nonzero((captions.lengths == 0) & (captions.slot_of_caption == 0)))
