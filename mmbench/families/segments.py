"""Packed rows taken apart again, one text each: for families that read every text by itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.data.batch import IGNORED, Batch, Role


@dataclass
class Texts:
    """G texts, each beginning at the left and padded to the longest."""

    token_ids: Tensor
    """int64 ``[G, L]``, 0 where padded."""
    mask: Tensor
    """bool ``[G, L]``: True where there is a token, False in the padding behind it."""

    @classmethod
    def of(cls, texts: list[list[int]], device: torch.device | str) -> "Texts":
        """The texts as they are; an empty one is padding alone."""
        longest = max([1, *map(len, texts)])
        ids = torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts], device=device)
        lengths = torch.tensor([len(text) for text in texts], device=device)
        return cls(ids.view(-1, longest), torch.arange(longest, device=device) < lengths[:, None])

    def after(self, token_id: int) -> "Texts":
        """The same texts, each behind one more token (<bos>), so that none is empty."""
        first = torch.full_like(self.token_ids[:, :1], token_id)
        return Texts(
            torch.cat([first, self.token_ids], dim=1),
            torch.cat([torch.ones_like(self.mask[:, :1]), self.mask], dim=1),
        )


@dataclass
class Segments(Texts):
    """The texts of a batch's packed rows, row by row, and what is to be learned from them."""

    rows: Tensor
    """int64 ``[G]``: the row of the batch, and so the image, that each text belongs to."""
    roles: Tensor
    """int64 ``[G]`` of `Role`: that of the text's tokens."""
    labels: Tensor
    """int64 ``[G, L]``: the id to be predicted at each token, `IGNORED` where none is."""
    classes: Tensor
    """int64 ``[G]``: the place of the text's answer among the frequent ones, `IGNORED` where it has none."""

    def prompts(self) -> "Segments":
        """The same texts up to where the first token is predicted: a question without its answer.

        A text with nothing to predict stays whole.
        """
        predicted = (self.labels != IGNORED).long()
        mask = self.mask & (predicted.cumsum(dim=1) == predicted)  # the first such place belongs to the prompt
        longest = max(1, int(mask.sum(dim=1).max())) if len(mask) else 1
        mask = mask[:, :longest]
        return Segments(
            token_ids=torch.where(mask, self.token_ids[:, :longest], 0),
            mask=mask,
            rows=self.rows,
            roles=self.roles,
            labels=torch.where(mask, self.labels[:, :longest], IGNORED),
            classes=self.classes,
        )


def segments_of(batch: Batch, roles: Sequence[Role]) -> Segments:
    """The texts of ``batch`` that have tokens of ``roles``; of those with others too, the tokens of ``roles`` alone.

    So ``[Role.TEXT]`` gives the captions of contrastive pairs without the query behind them. There may be none.
    """
    chosen = torch.isin(batch.roles, torch.tensor(roles, device=batch.roles.device)) & (batch.segments > 0)
    row, column = chosen.nonzero(as_tuple=True)  # tokens, row by row and from left to right
    segment = batch.segments[row, column]
    begins = torch.ones_like(row, dtype=torch.bool)
    begins[1:] = (row[1:] != row[:-1]) | (segment[1:] != segment[:-1])
    text = begins.cumsum(dim=0) - 1  # which text each token belongs to
    first = begins.nonzero()[:, 0]
    place = torch.arange(len(row), device=row.device) - first[text]
    shape = (len(first), int(place.max()) + 1 if len(place) else 1)

    def unpacked(values: Tensor, fill: int) -> Tensor:
        out = torch.full(shape, fill, dtype=values.dtype, device=values.device)
        out[text, place] = values[row, column]
        return out

    mask = torch.zeros(shape, dtype=torch.bool, device=row.device)
    mask[text, place] = True
    return Segments(
        token_ids=unpacked(batch.token_ids, 0),
        mask=mask,
        rows=row[first],
        roles=batch.roles[row[first], column[first]],
        labels=unpacked(batch.labels, IGNORED),
        classes=unpacked(batch.classes, IGNORED).amax(dim=1),
    )
