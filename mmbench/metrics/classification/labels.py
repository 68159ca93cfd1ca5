"""Numbers of classes, checked."""

import torch
from numpy.typing import ArrayLike
from torch import Tensor


def check_labels(labels: ArrayLike | Tensor, num_classes: int) -> Tensor:
    """int64 labels.

    Raises:
        ValueError: labels that are no integers, or outside 0..num_classes-1; says how many.
    """
    truth = torch.as_tensor(labels)
    if not truth.numel():
        return truth.long()
    if truth.is_floating_point() or truth.dtype == torch.bool:
        raise ValueError(f"labels are of type {truth.dtype}; give the number of each class, 0..{num_classes - 1}")
    outside = truth[(truth < 0) | (truth >= num_classes)]
    if len(outside):
        raise ValueError(
            f"{len(outside)} of {truth.numel()} labels are outside 0..{num_classes - 1}, such as {int(outside[0])}"
        )
    return truth.long()
