"""A decoder as the tower of a text: whole texts, each between its begin and end tokens, causal or bidirectional."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmbench.nn.decoder import Decoder
from mmbench.nn.masks import causal_mask


@dataclass(frozen=True)
class Reading:
    """How a tower reads a text."""

    bos_id: int | None
    """The id before each text; None: nothing stands there (SigLIP)."""
    eos_id: int
    """The id behind each text."""
    pad_id: int
    """The id behind the end."""
    causal: bool = True
    """Whether a token attends only to those before it (CLIP), or to all of the text (SigLIP, BERT)."""
    longest: int | None = None
    """More tokens than this, begin and end included, are cut, before the end; None: none are."""
    padded: bool = False
    """Whether every text is padded to ``longest`` and the padding read like text, as SigLIP does."""


@dataclass
class Framed:
    """G texts with their begin and end tokens, padded on the right."""

    token_ids: Tensor
    """int64 ``[G, L]``."""
    mask: Tensor
    """bool ``[G, L]``: which tokens are read."""

    @property
    def last(self) -> Tensor:
        """int64 ``[G]``: the place of the last token that is read: the end, or the last padding that is."""
        return self.mask.sum(dim=1) - 1


def frame(token_ids: Tensor, lengths: Tensor, reading: Reading) -> Framed:
    """Texts with begin and end tokens.

    Args:
        token_ids: int64 ``[G, L]``, each text from the left.
        lengths: int64 ``[G]``, tokens of each.
        reading: which tokens, and how many at most.
    """
    num_begin = 0 if reading.bos_id is None else 1
    if reading.longest is not None:
        most = reading.longest - num_begin - 1
        token_ids, lengths = token_ids[:, :most], lengths.clamp(max=most)
    places = torch.arange(token_ids.shape[1] + 1, device=token_ids.device)
    ids = F.pad(token_ids, (0, 1)).where(places < lengths[:, None], reading.pad_id)
    ids = ids.masked_fill(places == lengths[:, None], reading.eos_id)
    if reading.bos_id is not None:
        ids = F.pad(ids, (1, 0), value=reading.bos_id)
    if reading.padded and reading.longest is not None:
        ids = F.pad(ids, (0, reading.longest - ids.shape[1]), value=reading.pad_id)
        return Framed(ids, torch.ones_like(ids, dtype=torch.bool))
    places = torch.arange(ids.shape[1], device=ids.device)
    return Framed(ids, places <= (lengths + num_begin)[:, None])


def read(decoder: Decoder, texts: Framed, causal: bool, tokens: Tensor | None = None) -> Tensor:
    """Hidden states ``[G, L, D]`` after the decoder's last norm; those of padding mean nothing.

    Args:
        decoder: the language model.
        texts: what is read.
        causal: as in `Reading`.
        tokens: ``[G, L, D]`` in the place of the texts' embeddings, where some are masked.
    """
    num_texts, length = texts.token_ids.shape
    positions = torch.arange(length, device=texts.token_ids.device).expand(num_texts, -1)
    # Causal, nothing reads the padding behind it; only a mixture of experts must be told that it is padding.
    mask = None
    if not causal or decoder.config.experts.num_experts:
        mask = texts.mask[:, None, None].expand(-1, 1, length, -1)
        mask = mask & causal_mask(length, 0, mask.device) if causal else mask
    hidden: Tensor = decoder(decoder.embed(texts.token_ids) if tokens is None else tokens, positions, mask)
    return hidden


def at_last(hidden: Tensor, texts: Framed) -> Tensor:
    """``[G, D]``: the hidden state at the last token of each text."""
    return hidden[torch.arange(len(hidden), device=hidden.device), texts.last]
