"""Next-token loss and perplexity of a language model, example by example, over the tokens that a mask selects."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_TILE = 2**22  # logits that are looked at together: 16 MB in float32


@dataclass(frozen=True)
class TokenLosses:
    """Losses of B examples; in a corpus every token weighs the same, so its loss is no mean over examples."""

    nats: Tensor
    """float32 [B] mean of -log p over the example's tokens, in nats; infinite where a token has probability 0"""
    num_tokens: Tensor
    """int64 [B] tokens of the mean, 1 or more"""

    def token_loss(self) -> float:
        """Sum of nats over all tokens, divided by their number."""
        return float((self.nats.double() * self.num_tokens).sum() / self.num_tokens.sum())

    def perplexity(self) -> float:
        """exp of `token_loss`; infinite where that is above 709."""
        loss = self.token_loss()
        return math.exp(loss) if loss < 709 else math.inf


@torch.no_grad()
def token_loss(logits: Tensor, labels: Tensor, mask: Tensor) -> TokenLosses:
    """Mean cross-entropy of each example over the tokens where the mask is true.

    Computed in float32 whatever the type of the logits, one tile of tokens at a time: no copy of all logits is made.
    What the mask leaves out is never read, so its labels may be any number and its logits NaN.

    Args:
        logits: [B, T, V] unnormalised, or log-probabilities; `logits[b, t]` predicts `labels[b, t]` (shifting is the
            caller's). -inf is probability 0.
        labels: integers [B, T].
        mask: bool [B, T], true for the tokens that count.

    Raises:
        ValueError: no samples, shapes that do not fit, an example without a token, labels outside 0..V-1, logits that
            give no probabilities (NaN, +inf, or -inf alone).
        TypeError: a mask that is not bool.
    """
    _check(logits, labels, mask)
    rows, places = mask.nonzero(as_tuple=True)
    wanted = labels[rows, places].long()
    outside = (wanted < 0) | (wanted >= logits.shape[2])
    if outside.any():
        raise ValueError(
            f"{int(outside.sum())} of {len(wanted)} labels are outside 0..{logits.shape[2] - 1}, such as "
            f"{int(wanted[outside][0])}; the mask must leave out what is not to be scored"
        )
    each = torch.empty(len(wanted), device=logits.device)
    tile_size = max(1, _TILE // logits.shape[2])
    for start in range(0, len(wanted), tile_size):
        tile = slice(start, start + tile_size)
        each[tile] = F.cross_entropy(logits[rows[tile], places[tile]].float(), wanted[tile], reduction="none")
    nan = each.isnan()
    if nan.any():
        raise ValueError(
            f"the logits of {int(nan.sum())} of {len(each)} tokens, in {len(set(rows[nan].tolist()))} of "
            f"{len(mask)} examples, give no probabilities (NaN, +inf, or -inf alone)"
        )
    nats = torch.zeros(mask.shape, device=logits.device)
    nats[mask] = each
    num_tokens = mask.sum(dim=1)
    return TokenLosses((nats.double().sum(dim=1) / num_tokens).float(), num_tokens)


def _check(logits: Tensor, labels: Tensor, mask: Tensor) -> None:
    if logits.ndim != 3 or labels.shape != logits.shape[:2] or mask.shape != labels.shape:
        raise ValueError(
            "logits, labels and mask need the shapes [B, T, V], [B, T] and [B, T], not "
            f"{[*logits.shape]}, {[*labels.shape]} and {[*mask.shape]}"
        )
    if mask.dtype != torch.bool:
        raise TypeError(f"the mask is of type {mask.dtype}, not torch.bool; true marks the tokens that count")
    if not len(mask):
        raise ValueError("no samples: there are no examples to score")
    empty = (~mask.any(dim=1)).nonzero()[:, 0].tolist()
    if empty:
        raise ValueError(
            f"{len(empty)} of {len(mask)} examples have no token to score, such as rows "
            f"{', '.join(map(str, empty[:5]))}; leave them out"
        )
