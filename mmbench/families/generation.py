"""Greedy generation with a key-value cache, in batches of prompts of unequal length."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mmbench.families.trunk import Between, joined_positions, prefix_positions, prefix_visible
from mmbench.nn.attention import compute_dtype
from mmbench.nn.cache import KeyValueCache

if TYPE_CHECKING:
    from mmbench.families.seeing_decoder import SeeingDecoder
    from mmbench.families.sight import Sight


@torch.no_grad()
def generate(
    family: "SeeingDecoder", sight: "Sight", prompts: list[list[int]], max_new_tokens: int, cached: bool = True
) -> list[list[int]]:
    """Continue each prompt until the end token or ``max_new_tokens``.

    The prompts stand right-aligned behind the prefix (<bos> and image tokens), with explicit positions, so that the
    answer to a prompt does not depend on what else is in the batch.

    Args:
        family: reads; its ``prefix``, ``between`` and ``decoder`` are used.
        sight: of one image a prompt.
        prompts: token ids, without <bos>.
        max_new_tokens: most tokens to add.
        cached: False reads everything again at every token.

    Returns:
        The new token ids of each prompt, without the end token.
    """
    step = _Stepper(family, sight, prompts, max_new_tokens, cached)
    look_every = _LOOK_EVERY.get(family.device.type, 4)
    chosen = step.first()  # [B]
    finished = chosen == family.eos_id
    new = [chosen]
    while len(new) < max_new_tokens and not (len(new) % look_every == 0 and bool(finished.all())):
        chosen = step.next(chosen)
        new.append(chosen)
        finished = finished | (chosen == family.eos_id)
    return [_until(row, family.eos_id) for row in torch.stack(new, dim=1).tolist()]


_LOOK_EVERY = {"cpu": 1}
"""Device -> after how many tokens it is looked whether all texts have ended. A device with a queue of its own would be
waited for at each look."""


class _Stepper:
    """The state of one batch of generations; all that does not depend on the tokens to come is made before them."""

    def __init__(
        self, family: "SeeingDecoder", sight: "Sight", prompts: list[list[int]], max_new_tokens: int, cached: bool
    ) -> None:
        device = family.device
        longest = max(len(prompt) for prompt in prompts)
        padding = torch.tensor([longest - len(prompt) for prompt in prompts], device=device)
        ids = torch.tensor([[0] * (longest - len(p)) + list(p) for p in prompts], device=device)
        prefix = family.prefix(sight, len(prompts))
        self.family, self.sight, self.decoder = family, sight, family.decoder
        self.num_prefix = prefix.shape[1]
        self.inputs = torch.cat([prefix, self.decoder.embed(ids).to(prefix.dtype)], dim=1)  # [B, L, D]
        # Of the prefix, the prompts and all tokens to come:
        place = torch.arange(longest + max_new_tokens, device=device)
        shown = prefix_visible(sight, len(prompts), self.num_prefix, prefix)
        self.visible = torch.cat([shown, place >= padding[:, None]], dim=1)
        self.is_whole = bool(self.visible.all())
        starts = sight.starts(len(prompts), device)[:, None]
        in_prefix = prefix_positions(sight, len(prompts), self.num_prefix, device)
        self.positions = joined_positions(in_prefix, (place - padding[:, None]).clamp(min=0) + starts)
        self.sees = self.visible.clone()
        self.sees[:, : self.num_prefix] = False
        self.rotation = self.decoder.rotation(self.positions, compute_dtype(self.inputs))
        self.between = family.between(sight, torch.ones_like(self.sees[:, :1]), 0)
        self.length = self.inputs.shape[1]
        self.cache = KeyValueCache(len(prompts), self.length + max_new_tokens) if cached else None

    def first(self) -> Tensor:
        """Read prefix and prompts; the first new token of each row ``[B]``."""
        mask = None
        if not self.is_whole:
            causal = torch.ones(self.length, self.length, dtype=torch.bool, device=self.inputs.device).tril()
            mask = (causal & self.visible[:, None, : self.length])[:, None]
        between = self.family.between(self.sight, self.sees[:, : self.length], self.num_prefix)
        return self._choose(self.inputs, 0, mask, between)

    def next(self, chosen: Tensor) -> Tensor:
        """Append ``chosen [B]`` to the rows; the token after it."""
        embedded = self.decoder.embed(chosen[:, None]).to(self.inputs.dtype)
        begin, self.length = self.length, self.length + 1
        if self.cache is None:
            self.inputs = torch.cat([self.inputs, embedded], dim=1)
            return self.first()
        mask = None if self.is_whole else self.visible[:, None, None, : self.length]
        return self._choose(embedded, begin, mask, self.between)

    def _choose(self, inputs: Tensor, begin: int, mask: Tensor | None, between: Between | None) -> Tensor:
        """The token after ``inputs [B, L, D]``, which stand at ``begin`` and after it."""
        here = slice(begin, self.length)
        hidden = self.decoder(
            inputs,
            self.positions[:, here],
            mask,
            cache=self.cache,
            between=between,
            num_last=1,
            rotation=None if self.rotation is None else (self.rotation[0][:, here], self.rotation[1][:, here]),
        )
        return self.decoder.logits(hidden[:, 0]).argmax(dim=-1)


def _until(tokens: list[int], end: int) -> list[int]:
    return tokens[: tokens.index(end)] if end in tokens else tokens
