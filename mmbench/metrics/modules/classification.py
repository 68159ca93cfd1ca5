"""Zero-shot accuracy and calibration over batches and processes."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mmbench.metrics.classification.calibration import (
    Binning,
    Calibration,
    calibration,
    check_bins,
    check_pairs,
)
from mmbench.metrics.classification.labels import check_labels
from mmbench.metrics.classification.zero_shot import (
    check_finite,
    class_embeddings,
    warn_of_few_classes,
    zero_shot_ranks,
)
from mmbench.metrics.modules.examples import Id
from mmbench.metrics.modules.numbers import NumberExamples, Numbers
from mmbench.metrics.retrieval.ranks import TIES, QueryRanks, Ties


class ZeroShotAccuracy(NumberExamples):
    """Share of images whose class is among the K with the nearest text, by metric name as `zero_shot_accuracy@1`.

    `…/optimistic` and `…/pessimistic` stand beside each; where they differ, ties decide. The images' embeddings are
    kept, and compared with the classes once, in the order of ids.

    Args:
        text_embeddings: [K, D] of each class, or [K, P, D] with P prompts (see `class_embeddings`).
        ks: the k of top-k accuracy.
        settings: of `torchmetrics.Metric`.

    Raises:
        ValueError: as `class_embeddings`.
    """

    higher_is_better = True
    class_embeddings: Tensor

    def __init__(self, text_embeddings: Tensor | NDArray[Any], ks: Sequence[int] = (1, 5), **settings: Any) -> None:
        super().__init__(**settings)
        self.ks = tuple(ks)
        self.register_buffer("class_embeddings", class_embeddings(text_embeddings), persistent=False)

    def update(self, ids: Tensor | Sequence[Id], image_embeddings: Tensor, labels: ArrayLike | Tensor) -> None:
        """Add a batch.

        Args:
            ids: [n] of the images.
            image_embeddings: [n, D].
            labels: [n] 0..K-1.

        Raises:
            ValueError: lengths and shapes that do not fit, labels that are no classes, embeddings that are not finite.
            TypeError: an id that is neither a string nor an integer.
        """
        if image_embeddings.ndim != 2 or image_embeddings.shape[1] != self.class_embeddings.shape[1]:
            raise ValueError(
                f"image embeddings need the shape [n, {self.class_embeddings.shape[1]}], as the classes', not "
                f"{[*image_embeddings.shape]}"
            )
        check_finite(image_embeddings, "image embeddings")
        directions = F.normalize(image_embeddings.float(), dim=1)
        self.add(ids, check_labels(labels, len(self.class_embeddings)), directions)

    def compute(self) -> dict[str, float]:
        """Means over images by metric name; warns of ties, and where there are fewer classes than k.

        Raises:
            ValueError: no samples; an id with two different labels or embeddings.
        """
        ranks = self._ranks(self.numbers())
        values = {}
        for k in self.ks:
            warn_of_few_classes(k, ranks.num_candidates)
            name = f"zero_shot_accuracy@{k}"
            for ties in TIES:
                values[name if ties == "expected" else f"{name}/{ties}"] = float(ranks.recall(k, ties).mean())
            if values[f"{name}/optimistic"] != values[f"{name}/pessimistic"]:
                warnings.warn(f"ties decide {name}; the expected value is given", stacklevel=2)
        return values

    def per_example(self, k: int = 1, ties: Ties = "expected") -> dict[Id, float]:
        """Score of each image, as `zero_shot_accuracy`."""
        numbers = self.gathered()
        return dict(zip(numbers.ids, self._ranks(numbers).recall(k, ties).tolist(), strict=True))

    def _ranks(self, numbers: Numbers) -> QueryRanks:
        return zero_shot_ranks(numbers.values, self.class_embeddings, numbers.facts)


class ExpectedCalibrationError(NumberExamples):
    """Expected calibration error, 0..1: `{"expected_calibration_error": …}`; no mean over examples.

    Args:
        num_bins: of confidence.
        binning: "width" or "mass", as `calibration`.
        settings: of `torchmetrics.Metric`.

    Raises:
        ValueError: as `calibration`.
    """

    higher_is_better = False

    def __init__(self, num_bins: int = 15, binning: Binning = "width", **settings: Any) -> None:
        super().__init__(**settings)
        check_bins(num_bins, binning)
        self.num_bins, self.binning = num_bins, binning

    def update(self, ids: Tensor | Sequence[Id], confidences: ArrayLike | Tensor, correct: ArrayLike | Tensor) -> None:
        """Add a batch.

        Args:
            ids: [n] of the examples.
            confidences: [n] 0..1 (see `top_label`).
            correct: [n] whether the prediction was right; a fraction is an expected value.

        Raises:
            ValueError: lengths that do not match, values outside 0..1 or NaN.
            TypeError: an id that is neither a string nor an integer.
        """
        pairs = torch.from_numpy(np.stack(check_pairs(confidences, correct), axis=1))
        self.add(ids, torch.zeros(len(pairs), dtype=torch.int64), pairs)

    def compute(self) -> dict[str, float]:
        """The error by metric name.

        Raises:
            ValueError: no samples; an id with two different confidences or truths.
        """
        return {"expected_calibration_error": self._calibration(self.numbers()).expected_error}

    def calibration(self) -> Calibration:
        """The bins, over all processes."""
        return self._calibration(self.gathered())

    def _calibration(self, numbers: Numbers) -> Calibration:
        return calibration(numbers.values[:, 0], numbers.values[:, 1], self.num_bins, self.binning)
