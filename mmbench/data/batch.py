"""The one typed batch that every family trains on: images, each with several texts in one row."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor

IGNORED = -100
"""The label where nothing is supervised; what ``torch.nn.functional.cross_entropy`` leaves out."""


class Role(IntEnum):
    """What a token is for."""

    PAD = 0
    CAPTION = 1
    """Prompt or words of a caption that is predicted."""
    ANSWER = 2
    """Words of a question or of its answer that is predicted."""
    TEXT = 3
    """Text that does not see the image: the caption of a contrastive pair, or a language model's text."""
    TEXT_QUERY = 4
    """The place behind a caption where its embedding is read."""
    IMAGE_QUERY = 5
    """The place where the image's embedding is read."""


@dataclass
class Totals:
    """Counts over the whole optimiser step: all its micro-batches on all processes."""

    caption_tokens: int = 0
    """Supervised tokens of captions."""
    answer_tokens: int = 0
    """Supervised tokens of answers."""
    text_tokens: int = 0
    """Supervised tokens of text without an image."""
    classified: int = 0
    """Answers that are among the frequent ones: places with a class."""
    pairs: int = 0
    """Rows with a contrastive pair (a TEXT_QUERY and an IMAGE_QUERY)."""
    samples: int = 0
    """Images with one text each; a row's contrastive pair repeats its caption and counts only where it is alone."""
    rows: int = 0
    """Rows of the global batch."""
    tokens: int = 0
    """Tokens that are not padding, queries included; no image tokens."""


@dataclass
class Batch:
    """A micro-batch of B rows; a row is one image with several of its texts (segments), one after another.

    A segment holds no ``<bos>``: a family puts the prefix (bos, image tokens) before the row and lets each segment
    see the prefix and itself, never another segment. T is a multiple of 8.
    """

    images: Tensor
    """uint8 [B, 3, S, S]: the canvas, with the picture at its top left and 0 beyond; [0, 3, S, S] where the rows are
    text only."""
    sizes: Tensor
    """int64 [B, 2]: height and width of each picture within its canvas, in pixels; (S, S) in the square layout."""
    token_ids: Tensor
    """int64 [B, T], padded on the right with the pad id; a query's id is the pad id too."""
    segments: Tensor
    """int64 [B, T]: 0 for padding, else which text of the row, from 1."""
    positions: Tensor
    """int64 [B, T]: the place within the segment, from 0."""
    roles: Tensor
    """int64 [B, T] of `Role`."""
    labels: Tensor
    """int64 [B, T]: the id to be predicted at this place (already shifted), -100 where none is."""
    classes: Tensor
    """int64 [B, T]: at the last token of a question's prompt, where the answer begins to be predicted, the answer's
    place among the frequent ones; -100 elsewhere, and where the answer is none of them."""
    sample_ids: list[str]
    """The texts of this micro-batch, row by row: ``IMAGE#captionK`` or the question's id."""
    totals: Totals
    """Of the whole optimiser step."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """A copy with all tensors on ``device``."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """A copy with all tensors in page-locked memory, from which a copy to a GPU can overlap with work."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        changed: dict[str, Any] = vars(self) | {
            name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return Batch(**changed)
