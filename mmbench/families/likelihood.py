"""How likely a decoder finds given texts: several of one image in one row, so that the image is read once."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from mmbench.data.batch import IGNORED, Role
from mmbench.families.trunk import PlainRows

if TYPE_CHECKING:
    from mmbench.families.seeing_decoder import SeeingDecoder
    from mmbench.families.sight import Sight

Continuation = tuple[list[int], list[int]]
"""A prompt and a text that may follow it, as token ids."""


def log_likelihoods(family: "SeeingDecoder", sight: "Sight", texts: list[list[Continuation]]) -> list[Tensor]:
    """Log-probability in nats of each text after its prompt, the end token included.

    Args:
        family: reads.
        sight: of one image a row.
        texts: for each row its prompts and texts; none sees another.

    Returns:
        for each row float32 ``[number of its texts]``.
    """
    device = family.device
    rows = PlainRows.packed([[prompt + text for prompt, text in row] for row in texts], Role.ANSWER, device)
    labels = torch.full_like(rows.token_ids, IGNORED)
    for i, row in enumerate(texts):
        end = 0
        for prompt, text in row:
            begin, end = end, end + len(prompt) + len(text)
            following = torch.tensor([*text, family.eos_id], device=device)
            first = begin + len(prompt) - 1  # The prompt's last token predicts the text's first.
            labels[i, first:end] = following
    supervised = labels != IGNORED
    # The vocabulary is projected where a token is weighed, and nowhere else.
    logits = family.decoder.logits(family.read(rows, sight)[supervised]).float()
    nats = F.cross_entropy(logits, labels[supervised], reduction="none")
    counts = [len(row) for row in texts]
    first_text = torch.tensor([0, *counts], device=device).cumsum(0)[:-1]
    which = (first_text[:, None] + rows.segments - 1)[supervised]
    totals = torch.zeros(sum(counts), device=device).index_add_(0, which, -nats)
    return list(torch.split(totals, counts))
