"""The caption of each row's contrastive pair, one for each image."""

from dataclasses import dataclass

from torch import Tensor

from mmbench.data.batch import Batch, Role
from mmbench.families.segments import segments_of


@dataclass
class PairTexts:
    """B captions; a row without one has an empty text, so that every process reads as many texts as it has images."""

    token_ids: Tensor
    """int64 ``[B, L]``, from the left."""
    lengths: Tensor
    """int64 ``[B]``: tokens of each."""
    valid: Tensor
    """bool ``[B]``: whether the row has a pair."""


def pair_texts(batch: Batch) -> PairTexts:
    """The captions of a batch's pairs, without the query behind them."""
    texts = segments_of(batch, [Role.TEXT])
    num_rows = len(batch.token_ids)
    token_ids = texts.token_ids.new_zeros(num_rows, texts.token_ids.shape[1])
    token_ids[texts.rows] = texts.token_ids
    lengths = texts.rows.new_zeros(num_rows)
    lengths[texts.rows] = texts.mask.sum(dim=1)
    return PairTexts(token_ids, lengths, lengths > 0)
