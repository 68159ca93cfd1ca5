"""Classification of labelled images: by the nearest label text, and by a linear classifier of image features."""

import numpy as np
from numpy.typing import NDArray

from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.example import TRAIN, VALIDATION
from mmbench.data.order import permutation
from mmbench.harness.scorer import Scorer
from mmbench.metrics import choice_accuracy, fit_linear_probe, zero_shot_accuracy

TEMPLATE = "a picture of {}"
"""The one text in which a label stands."""
_HELD_OUT = 5
"""Without labelled validation images, every so many-th training image is held out in their place."""


def classes_of(datamodule: MultimodalDataModule) -> list[str]:
    """All labels of the data, in the order of the alphabet."""
    examples = [example for split in datamodule.dataset.splits.values() for example in split.examples]
    return sorted({example.label for example in examples} - {""})


def zero_shot(scorer: Scorer, classes: list[str]) -> dict[str, float]:
    """By image, whether the text of its label is the nearest to it of all labels'; ties share."""
    wanted = _labelled(scorer)
    texts = scorer.text_embeddings([TEMPLATE.format(label) for label in classes])
    scores = zero_shot_accuracy(scorer.image_embeddings[wanted], texts, _labels(scorer, wanted, classes))
    return dict(zip(_ids(scorer, wanted), scores.tolist(), strict=True))


def linear_probe(scorer: Scorer, datamodule: MultimodalDataModule, classes: list[str]) -> dict[str, float]:
    """By image, whether a linear classifier of image features, fitted to training images, is right; ties share.

    The penalty is chosen on the validation split, or, where that has no labels or is the one that is scored, on a part
    of the training images.
    """
    training = scorer.of(datamodule.split(TRAIN))
    wanted = np.array(_labelled(training))
    most = scorer.limits.probe_images
    chosen = np.sort(wanted[permutation(0, 0, len(wanted))[:most]]).tolist()
    features, labels = training.features(chosen).numpy(), _labels(training, chosen, classes)
    validation = scorer.of(datamodule.split(VALIDATION)) if VALIDATION in datamodule.dataset.splits else None
    aside = np.arange(len(labels)) % _HELD_OUT == 0
    if validation is not None and scorer.split.name != VALIDATION and (others := _labelled(validation)):
        held_out = validation.features(others).numpy(), _labels(validation, others, classes)
    else:
        held_out = features[aside], labels[aside]
        features, labels = features[~aside], labels[~aside]
    probe = fit_linear_probe(features, labels, held_out, len(classes))
    scored = _labelled(scorer)
    ids = _ids(scorer, scored)
    logits = probe.logits(scorer.features(scored).numpy()).tolist()
    truth = _labels(scorer, scored, classes).tolist()
    return choice_accuracy(dict(zip(ids, logits, strict=True)), dict(zip(ids, truth, strict=True)))


def _labelled(scorer: Scorer) -> list[int]:
    """The indices of the examples with a label."""
    return [index for index, example in enumerate(scorer.split.examples) if example.label]


def _labels(scorer: Scorer, indices: list[int], classes: list[str]) -> NDArray[np.int64]:
    place = {label: number for number, label in enumerate(classes)}
    return np.array([place[scorer.split.examples[index].label] for index in indices], dtype=np.int64)


def _ids(scorer: Scorer, indices: list[int]) -> list[str]:
    return [scorer.split.examples[index].image_id for index in indices]
