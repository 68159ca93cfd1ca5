"""Which tokens of a text, or patches of an image, are hidden and to be predicted (BERT, arXiv 1810.04805)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.nn.row_draws import RowDraws

_REPLACED, _RANDOM = 0.8, 0.1
"""Of the chosen tokens: the share replaced by the mask, and that replaced by any token; the rest stays as it is."""


@dataclass
class MaskedTokens:
    """Texts with some tokens chosen to be predicted."""

    token_ids: Tensor
    """int64 ``[G, L]``, some of the chosen ones replaced by others."""
    hidden: Tensor
    """bool ``[G, L]``: where the mask stands in the place of the token."""
    chosen: Tensor
    """bool ``[G, L]``: which tokens are to be predicted."""


def mask_tokens(token_ids: Tensor, eligible: Tensor, vocab_size: int, share: float, draws: RowDraws) -> MaskedTokens:
    """Of the chosen tokens 80% are masked, 10% become any token of the vocabulary, and 10% stay.

    Args:
        token_ids: int64 ``[G, L]``.
        eligible: bool ``[G, L]``: which tokens may be chosen.
        vocab_size: entries of the vocabulary.
        share: how many of a text's eligible tokens are chosen, see `choose`.
        draws: of the G rows.
    """
    chosen = choose(eligible, share, draws)
    fate, other = draws.uniform(token_ids.shape[1]), draws.uniform(token_ids.shape[1])
    random = chosen & (fate >= _REPLACED) & (fate < _REPLACED + _RANDOM)
    ids = torch.where(random, (other * vocab_size).long(), token_ids)
    return MaskedTokens(ids, chosen & (fate < _REPLACED), chosen)


def choose(eligible: Tensor, share: float, draws: RowDraws) -> Tensor:
    """``share`` of each row's eligible places, rounded, at random; at least one where there is any.

    Args:
        eligible: bool ``[G, L]``.
        share: 0..1.
        draws: of the G rows.

    Returns:
        bool ``[G, L]``.
    """
    counts = eligible.sum(dim=1)
    wanted = torch.minimum((counts * share).round().long().clamp(min=1), counts)
    keys = draws.uniform(eligible.shape[1]).masked_fill(~eligible, 2.0)
    ranks = keys.argsort(dim=1).argsort(dim=1)
    return ranks < wanted[:, None]
