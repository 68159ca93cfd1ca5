"""Sequences of different lengths, one behind the other: as few rows as there are tokens, and attention within each."""

import torch
from torch import Tensor


class Ragged:
    """Moves between all tokens in one row ``[sum of lengths, ...]`` and one padded row a sequence ``[B, L, ...]``.

    Attention within each of the padded rows is the same as attention over the one row with a block-diagonal mask, but
    its cost grows with the square of one length, not with that of their sum.
    """

    def __init__(self, lengths: Tensor) -> None:
        """``lengths``: int64 ``[B]``, none of them 0."""
        self.num_sequences, self.longest = len(lengths), int(lengths.max())
        within = torch.arange(self.longest, device=lengths.device) < lengths[:, None]
        self.mask = None if bool(within.all()) else within
        """bool ``[B, L]``, False = padding; None: all are of one length, and moving costs nothing."""
        if self.mask is not None:
            self._places = self.mask.flatten().nonzero()[:, 0]  # of each token among the padded
            # Padding repeats the first token: what it holds is never read, but it has to be finite.
            self._tokens = torch.zeros(self.mask.numel(), dtype=torch.int64, device=lengths.device)
            self._tokens[self._places] = torch.arange(len(self._places), device=lengths.device)

    def split(self, x: Tensor) -> Tensor:
        """``[sum of lengths, ...]`` to ``[B, L, ...]``."""
        if self.mask is not None:
            x = x.index_select(0, self._tokens)
        return x.view(self.num_sequences, self.longest, *x.shape[1:])

    def join(self, x: Tensor) -> Tensor:
        """``[B, L, ...]`` to ``[sum of lengths, ...]``, without the padding."""
        x = x.flatten(0, 1)
        return x if self.mask is None else x.index_select(0, self._places)
