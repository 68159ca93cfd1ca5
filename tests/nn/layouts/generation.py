"""Greedy generation by decoder and cache alone."""

import torch

from mmbench.nn.cache import KeyValueCache
from mmbench.nn.decoder import Decoder


@torch.no_grad()
def greedy(decoder: Decoder, prompts: list[list[int]]) -> list[list[int]]:
    """20 tokens a prompt, by the cache, with padding at the left."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
    is_token = torch.arange(longest) >= longest - torch.tensor([len(prompt) for prompt in prompts])[:, None]
    positions = (is_token.cumsum(1) - 1).clamp(min=0)
    mask = torch.ones(longest, longest, dtype=torch.bool).tril() & is_token[:, None, None, :]
    cache = KeyValueCache(len(prompts), longest + 20)
    hidden = decoder(decoder.embed(ids), positions, mask, cache)
    tokens = []
    for step in range(20):
        tokens.append(decoder.logits(hidden[:, -1]).argmax(-1))
        is_token = torch.cat([is_token, torch.ones(len(prompts), 1, dtype=torch.bool)], 1)
        hidden = decoder(
            decoder.embed(tokens[-1][:, None]), positions[:, -1:] + 1 + step, is_token[:, None, None], cache
        )
    return torch.stack(tokens, 1).tolist()
