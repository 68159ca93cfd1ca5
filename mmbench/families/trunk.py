"""The common trunk: packed rows go through the decoder behind a shared prefix, as a tree."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from mmbench.data.batch import IGNORED, Batch, Role
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
    """Rows of one text each."""

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


def read_rows(
    decoder: Decoder,
    rows: Rows,
    prefix: Tensor,
    tokens: Tensor,
    sees_image: Tensor,
    between: Callable[[Tensor], Between | None] = lambda sees: None,
) -> Tensor:
    """Hidden states ``[B, T, D]`` of the rows' tokens.

    Args:
        decoder: the language model.
        rows: segments and positions.
        prefix: ``[B, P, D]``: <bos>, then image tokens if there are any.
        tokens: ``[B, T, D]`` embeddings of the rows' tokens.
        sees_image: bool ``[B, T]``.
        between: given bool ``[B, P + T]`` (who sees the image), what happens before each block.
    """
    num_prefix = prefix.shape[1]
    in_prefix = torch.arange(num_prefix, device=prefix.device).expand(len(prefix), -1)
    positions = torch.cat([in_prefix, rows.positions + torch.where(sees_image, num_prefix, 1)], dim=1)
    sees = torch.cat([torch.zeros_like(in_prefix, dtype=torch.bool), sees_image], dim=1)
    hidden: Tensor = decoder(
        torch.cat([prefix, tokens.to(prefix.dtype)], dim=1),
        positions,
        tree_mask(rows.segments, rows.positions, sees_image, num_prefix),
        between=between(sees),
    )
    return hidden[:, num_prefix:]


def tree_mask(segments: Tensor, positions: Tensor, sees_image: Tensor, num_prefix: int) -> Tensor:
    """Who attends to whom: bool ``[B, 1, P + T, P + T]``, True where the query (row) sees the key (column).

    The row's texts share the prefix: each attends to <bos>, to the image if it sees it, and to what came before in
    the same text; never to another text.

    Args:
        segments: ``[B, T]``, which text of the row, 0 for padding.
        positions: ``[B, T]``, position inside the text.
        sees_image: bool ``[B, T]``.
        num_prefix: ``P``: <bos> and the image tokens.
    """
    same_text = segments[:, :, None] == segments[:, None, :]
    earlier = positions[:, :, None] >= positions[:, None, :]
    texts = same_text & earlier & (segments > 0)[:, None, :]  # [B, T, T]
    num_rows, num_tokens = segments.shape
    to_bos = torch.ones(num_rows, num_tokens, 1, dtype=torch.bool, device=segments.device)
    to_image = sees_image[:, :, None].expand(-1, -1, num_prefix - 1)
    lower = torch.cat([to_bos, to_image, texts], dim=2)
    causal = torch.ones(num_prefix, num_prefix, dtype=torch.bool, device=segments.device).tril()
    upper = F.pad(causal, (0, num_tokens)).expand(num_rows, -1, -1)
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
