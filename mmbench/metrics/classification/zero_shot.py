"""Zero-shot classification: the class whose text is nearest to the image (CLIP, Radford et al. 2021, arXiv 2103.00020).

It is retrieval with the classes as gallery and one positive for each image, and is computed as such.
"""

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mmbench.metrics.classification.labels import check_labels
from mmbench.metrics.retrieval.ranks import QueryRanks, Ties
from mmbench.metrics.retrieval.recall import cross_modal_recall


def zero_shot_accuracy(
    image_embeddings: Tensor | NDArray[Any],
    text_embeddings: Tensor | NDArray[Any],
    labels: ArrayLike | Tensor,
    k: int = 1,
    ties: Ties = "expected",
) -> NDArray[Any]:
    """float64 [N] 1 for each image whose class is among the k nearest, else 0; in between where a tie decides.

    Args:
        image_embeddings: [N, D]; the score is the cosine, in float32.
        text_embeddings: [K, D] of each class, or [K, P, D] of each class in P prompts (see `class_embeddings`).
        labels: [N] 0..K-1.
        k: 1 for the accuracy, 5 for the top-5 accuracy.
        ties: classes with equal scores are averaged over all orders, or the right one stands first ("optimistic") or
            last ("pessimistic"): a model that gives every class the same score has the accuracy of chance.

    Raises:
        ValueError: as `zero_shot_ranks`; k below 1.
    """
    ranks = zero_shot_ranks(image_embeddings, text_embeddings, labels)
    warn_of_few_classes(k, ranks.num_candidates)
    return ranks.recall(k, ties)


def zero_shot_ranks(
    image_embeddings: Tensor | NDArray[Any], text_embeddings: Tensor | NDArray[Any], labels: ArrayLike | Tensor
) -> QueryRanks:
    """How many classes stand above and beside the right one of each image; arguments as `zero_shot_accuracy`.

    Raises:
        ValueError: no samples, shapes that do not fit, labels that are no classes, embeddings that are not finite.
    """
    images = torch.as_tensor(image_embeddings).float()
    classes = class_embeddings(text_embeddings).to(images.device)
    if images.ndim != 2 or images.shape[1] != classes.shape[1]:
        raise ValueError(
            f"image embeddings need the shape [N, D] with the classes' D = {classes.shape[1]}, not {[*images.shape]}"
        )
    truth = check_labels(labels, len(classes)).to(images.device)
    if truth.shape != images.shape[:1]:
        raise ValueError(f"labels have the shape {[*truth.shape]}, but there are {len(images)} images")
    if not len(images):
        raise ValueError("no samples: there are no images to classify")
    check_finite(images, "image embeddings")
    return cross_modal_recall(classes, F.normalize(images, dim=1), truth).text_to_image


def class_embeddings(text_embeddings: Tensor | NDArray[Any]) -> Tensor:
    """One unit vector for each class: float32 [K, D].

    Args:
        text_embeddings: [K, D], or [K, P, D] with P prompts a class: their normalised embeddings are averaged, and the
            mean is normalised again.

    Raises:
        ValueError: no classes or prompts, a wrong shape, embeddings that are not finite.
    """
    texts = torch.as_tensor(text_embeddings).float()
    if texts.ndim not in (2, 3) or not texts.numel():
        raise ValueError(f"text embeddings need the shape [K, D] or [K, P, D], not {[*texts.shape]}")
    check_finite(texts, "text embeddings")
    texts = F.normalize(texts, dim=-1)
    return F.normalize(texts.mean(dim=1), dim=-1) if texts.ndim == 3 else texts


def check_finite(embeddings: Tensor, what: str) -> None:
    """Refuse embeddings with NaN or infinities, which have no direction."""
    bad = ~embeddings.isfinite().all(dim=-1)
    if bad.any():
        raise ValueError(f"{int(bad.sum())} of {bad.numel()} {what} hold NaN or infinite numbers")


def warn_of_few_classes(k: int, num_classes: int) -> None:
    """Warn where every class is among the first k."""
    if k > num_classes:
        warnings.warn(f"top-{k} accuracy is 1: there are only {num_classes} classes", stacklevel=3)
