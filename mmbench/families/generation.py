"""Greedy generation with a key-value cache, in batches of prompts of unequal length."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mmbench.families.trunk import joined_positions, prefix_positions, prefix_visible
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
    chosen = step.first()  # [B]
    finished = chosen == family.eos_id
    new = [chosen]
    while len(new) < max_new_tokens and not bool(finished.all()):
        chosen = step.next(chosen)
        new.append(chosen)
        finished = finished | (chosen == family.eos_id)
    return [_until(row, family.eos_id) for row in torch.stack(new, dim=1).tolist()]


class _Stepper:
    """The state of one batch of generations: what was read, where each row stands."""

    def __init__(
        self, family: "SeeingDecoder", sight: "Sight", prompts: list[list[int]], max_new_tokens: int, cached: bool
    ) -> None:
        device = family.device
        longest = max(len(prompt) for prompt in prompts)
        padding = torch.tensor([longest - len(prompt) for prompt in prompts], device=device)
        ids = torch.tensor([[0] * (longest - len(p)) + list(p) for p in prompts], device=device)
        prefix = family.prefix(sight, len(prompts))
        self.family, self.sight = family, sight
        self.num_prefix = prefix.shape[1]
        self.inputs = torch.cat([prefix, family.decoder.embed(ids).to(prefix.dtype)], dim=1)  # [B, L, D]
        before = torch.arange(longest, device=device)
        in_prompt = before[None] >= padding[:, None]
        shown = prefix_visible(sight, len(prompts), self.num_prefix, prefix)
        self.visible = torch.cat([shown, in_prompt], dim=1)
        starts = sight.starts(len(prompts), device)[:, None]
        prompt_positions = (before[None] - padding[:, None]).clamp(min=0) + starts
        in_prefix = prefix_positions(sight, len(prompts), self.num_prefix, device)
        self.positions = joined_positions(in_prefix, prompt_positions)
        self.sees = self.visible.clone()
        self.sees[:, : self.num_prefix] = False
        self.cache = None
        if cached:
            self.cache = KeyValueCache(len(prompts), self.inputs.shape[1] + max_new_tokens)

    def first(self) -> Tensor:
        """Read prefix and prompts; the first new token of each row ``[B]``."""
        length = self.inputs.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=self.inputs.device).tril()
        mask = (causal & self.visible[:, None, :])[:, None]
        return self._choose(self.inputs, self.positions, mask, self.sees, self.num_prefix)

    def next(self, chosen: Tensor) -> Tensor:
        """Append ``chosen [B]`` to the rows; the token after it."""
        embedded = self.family.decoder.embed(chosen[:, None]).to(self.inputs.dtype)
        seen = torch.ones_like(self.visible[:, :1])
        self.visible = torch.cat([self.visible, seen], dim=1)
        self.positions = torch.cat([self.positions, self.positions[:, -1:] + 1], dim=1)
        self.sees = torch.cat([self.sees, seen], dim=1)
        if self.cache is None:
            self.inputs = torch.cat([self.inputs, embedded], dim=1)
            return self.first()
        return self._choose(embedded, self.positions[:, -1:], self.visible[:, None, None], seen, 0)

    def _choose(self, inputs: Tensor, positions: Tensor, mask: Tensor, sees: Tensor, num_prefix: int) -> Tensor:
        between = self.family.between(self.sight, sees, num_prefix)
        hidden = self.family.decoder(inputs, positions, mask, cache=self.cache, between=between)
        return self.family.decoder.logits(hidden[:, -1]).argmax(dim=-1)


def _until(tokens: list[int], end: int) -> list[int]:
    return tokens[: tokens.index(end)] if end in tokens else tokens
