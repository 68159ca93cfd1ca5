"""What a decoder reads out of an attention mask, or adds to one."""

import torch
from torch import Tensor


def causal_mask(length: int, past: int, device: torch.device) -> Tensor:
    """bool ``[1, 1, L, past + L]``: each of ``L`` tokens attends to what came before and to itself."""
    return torch.ones(1, 1, length, past + length, dtype=torch.bool, device=device).tril(past)


def windowed_mask(mask: Tensor | None, window: int, positions: Tensor, key_positions: Tensor) -> Tensor | None:
    """The mask without what lies ``window`` or more positions back; unchanged where all keys fit into the window.

    Args:
        mask: bool ``[B or 1, 1, L, K]``; None = causal.
        window: how many positions back a token attends to, itself included.
        positions: of the queries, ``[B, L]``.
        key_positions: of the keys ``[B, K]``, of which the queries are the last.
    """
    length, num_keys = positions.shape[1], key_positions.shape[1]
    if num_keys <= window:
        return mask
    if mask is None:
        mask = causal_mask(length, num_keys - length, positions.device)
    near = positions[:, :, None] - key_positions[:, None, :] < window
    return mask & near[:, None]


def attends_to_itself(mask: Tensor | None, x: Tensor) -> Tensor:
    """bool ``[B or 1, L]``: which of the tokens ``x [B, L, D]`` attend to themselves, as all but padding do."""
    length = x.shape[1]
    if mask is None:
        return torch.ones(1, length, dtype=torch.bool, device=x.device)
    return mask[:, 0, :, mask.shape[-1] - length :].diagonal(dim1=-2, dim2=-1)
