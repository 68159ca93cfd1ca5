"""The common trunk: packed rows go through the decoder behind a shared prefix, as a tree."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from mmbench.data.batch import IGNORED, Batch, Role
from mmbench.families.sight import Sight
from mmbench.families.trainee import Losses
from mmbench.nn.decoder import Decoder

Between = Callable[[int, Tensor], Tensor]
"""What happens before a decoder block: (block, hidden ``[B, L, D]``) -> hidden."""

SEES_IMAGE = (Role.CAPTION, Role.ANSWER, Role.IMAGE_QUERY)
"""Roles of tokens that see the row's image."""


class Rows(Protocol):
    """Packed rows: what the trunk reads of a batch, int64 ``[B, T]`` each (see `mmbench.data.batch.Batch`)."""

    token_ids: Tensor
    segments: Tensor
    positions: Tensor
    roles: Tensor


@dataclass
class PlainRows:
    """Rows made of texts as they come."""

    token_ids: Tensor
    segments: Tensor
    positions: Tensor
    roles: Tensor

    @classmethod
    def of(cls, texts: list[list[int]], role: Role, query: Role, device: torch.device) -> "PlainRows":
        """Each text's ids under ``role``, followed by one token of role ``query``."""
        longest = max(len(text) for text in texts) + 1
        ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts], device=device)
        lengths = torch.tensor([len(text) for text in texts], device=device)[:, None]
        positions = torch.arange(longest, device=device).expand(len(texts), -1)
        roles = torch.where(positions < lengths, role, torch.where(positions == lengths, query, Role.PAD))
        return cls(ids, (positions <= lengths).long(), positions, roles)

    @classmethod
    def packed(cls, texts: list[list[list[int]]], role: Role, device: torch.device) -> "PlainRows":
        """The texts of each row one after another, all under ``role``; none sees another."""
        longest = max(sum(map(len, row)) for row in texts)

        def padded(values: list[list[int]]) -> Tensor:
            return torch.tensor([row + [0] * (longest - len(row)) for row in values], device=device)

        segments = padded([[number for number, text in enumerate(row, 1) for _ in text] for row in texts])
        return cls(
            padded([[token for text in row for token in text] for row in texts]),
            segments,
            padded([[place for text in row for place in range(len(text))] for row in texts]),
            torch.where(segments > 0, role, Role.PAD),
        )


def read_rows(
    decoder: Decoder,
    rows: Rows,
    prefix: Tensor,
    tokens: Tensor,
    sees_image: Tensor,
    sight: Sight | None = None,
    between: Callable[[Tensor, int], Between | None] = lambda sees, num_prefix: None,
) -> Tensor:
    """Hidden states ``[B, T, D]`` of the rows' tokens.

    Args:
        decoder: the language model.
        rows: segments and positions.
        prefix: ``[B, P, D]``: <bos>, then the prefix of the sight if it has one.
        tokens: ``[B, T, D]`` embeddings of the rows' tokens.
        sees_image: bool ``[B, T]``.
        sight: where the prefix's tokens stand, and which of them are padding.
        between: given bool ``[B, P + T]`` (who sees the image) and P, what happens before each block.
    """
    sight = sight or Sight()
    num_rows, num_prefix = len(prefix), prefix.shape[1]
    start = torch.where(sees_image, sight.starts(num_rows, prefix.device)[:, None], 1)
    positions = joined_positions(prefix_positions(sight, num_rows, num_prefix, prefix.device), rows.positions + start)
    sees = F.pad(sees_image, (num_prefix, 0))
    mask = tree_mask(rows.segments, rows.positions, sees_image, prefix_visible(sight, num_rows, num_prefix, prefix))
    hidden: Tensor = decoder(
        torch.cat([prefix, tokens.to(prefix.dtype)], dim=1),
        positions,
        mask,
        between=between(sees, num_prefix),
        # After an image's tokens, nothing but the text is asked for. Of <bos> alone there is nothing to save, and text
        # is read bit for bit as by the decoder itself.
        num_last=tokens.shape[1] if num_prefix > 1 else None,
    )
    return hidden[:, -tokens.shape[1] :]


def prefix_positions(sight: Sight, num_rows: int, num_prefix: int, device: torch.device) -> Tensor:
    """Rotary positions of <bos> and the sight's prefix, int64 ``[B, P]`` or ``[B, P, 3]``."""
    if sight.prefix_positions is None:
        return torch.arange(num_prefix, device=device).expand(num_rows, -1)
    bos = torch.zeros_like(sight.prefix_positions[:, :1])
    return torch.cat([bos, sight.prefix_positions], dim=1)


def prefix_visible(sight: Sight, num_rows: int, num_prefix: int, like: Tensor) -> Tensor:
    """bool ``[B, P]``: which of <bos> and the sight's prefix are no padding."""
    if sight.prefix_mask is None:
        return torch.ones(num_rows, num_prefix, dtype=torch.bool, device=like.device)
    return F.pad(sight.prefix_mask, (1, 0), value=True)


def joined_positions(before: Tensor, text: Tensor) -> Tensor:
    """Positions ``[B, P]`` or ``[B, P, 3]`` with those of the text ``[B, T]`` after them: text has but one."""
    if before.ndim == 3:
        text = text[..., None].expand(-1, -1, before.shape[-1])
    return torch.cat([before, text], dim=1)


def tree_mask(segments: Tensor, positions: Tensor, sees_image: Tensor, visible: Tensor) -> Tensor:
    """Who attends to whom: bool ``[B, 1, P + T, P + T]``, True where the query (row) sees the key (column).

    The row's texts share the prefix: each attends to <bos>, to the image if it sees it, and to what came before in
    the same text; never to another text.

    Args:
        segments: ``[B, T]``, which text of the row, 0 for padding.
        positions: ``[B, T]``, position inside the text.
        sees_image: bool ``[B, T]``.
        visible: bool ``[B, P]``, which of <bos> and the image tokens are no padding.
    """
    same_text = segments[:, :, None] == segments[:, None, :]
    earlier = positions[:, :, None] >= positions[:, None, :]
    texts = same_text & earlier & (segments > 0)[:, None, :]  # [B, T, T]
    num_tokens, num_prefix = segments.shape[1], visible.shape[1]
    to_bos = torch.ones_like(sees_image)[:, :, None]
    to_image = sees_image[:, :, None] & visible[:, None, 1:]
    lower = torch.cat([to_bos, to_image, texts], dim=2)
    causal = torch.ones(num_prefix, num_prefix, dtype=torch.bool, device=segments.device).tril()
    upper = F.pad(causal & visible[:, None, :], (0, num_tokens))
    return torch.cat([upper, lower], dim=1)[:, None]


def token_losses(decoder: Decoder, hidden: Tensor, batch: Batch, objectives: Mapping[str, Role]) -> Losses:
    """Summed cross-entropy at the supervised positions of each role; the vocabulary is projected there alone.

    An objective that the whole step has no token for is left out; one that only this micro-batch lacks is 0.
    """
    supervised = batch.labels != IGNORED
    roles = batch.roles[supervised]
    logits = decoder.logits(hidden[supervised]).float()
    each = F.cross_entropy(logits, batch.labels[supervised], reduction="none")
    losses = Losses({name: each[roles == role].sum() for name, role in objectives.items()})
    return losses.present(batch.totals)


def at_role(hidden: Tensor, roles: Tensor, role: Role) -> tuple[Tensor, Tensor]:
    """``[B, D]`` hidden state at each row's one token of ``role``, and bool ``[B]``: whether it has one."""
    found = roles == role
    rows = torch.arange(len(hidden), device=hidden.device)
    return hidden[rows, found.int().argmax(dim=1)], found.any(dim=1)
