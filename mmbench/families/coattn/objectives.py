"""The objectives of the two streams together: matching, masked words, masked patches; each a sum over rows."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.families.coattn.heads import JointHead, MaskedTextHead
from mmbench.families.coattn.streams import CoAttentionStreams
from mmbench.families.frequent_answers import ImageTokens
from mmbench.nn.decoder import Decoder
from mmbench.nn.masking import choose, mask_tokens
from mmbench.nn.row_draws import RowDraws
from mmbench.nn.text_tower import Framed, read


def matching_loss(
    streams: CoAttentionStreams,
    head: JointHead,
    sight: ImageTokens,
    text: Tensor,
    text_mask: Tensor,
    rival: Tensor,
    found: Tensor,
) -> Tensor:
    """Binary cross-entropy of each image with its own caption and with a rival's, the mean of both.

    Args:
        streams: where they meet.
        head: one score a pair.
        sight: of B images.
        text: ``[B, L, D]`` what the language model makes of their captions.
        text_mask: bool ``[B, L]``.
        rival: int64 ``[B]``, the row whose caption is the wrong one.
        found: bool ``[B]``, whether there is one; a row without has no loss.
    """
    rows = torch.arange(len(text), device=text.device)
    captions = torch.cat([rows, rival])
    met = streams(text[captions], text_mask[captions], sight.take(torch.cat([rows, rows])))
    own, other = head(met.joint)[:, 0].chunk(2)
    each = -0.5 * (F.logsigmoid(own) + F.logsigmoid(-other))
    return each.masked_fill(~found, 0.0).sum()


def masked_text_loss(
    streams: CoAttentionStreams,
    head: MaskedTextHead,
    decoder: Decoder,
    sight: ImageTokens,
    texts: Framed,
    share: float,
    draws: RowDraws,
) -> Tensor:
    """Cross-entropy of a share of the words, the mean over each caption's; the image is whole (arXiv 1909.11740)."""
    places = torch.arange(texts.token_ids.shape[1], device=texts.token_ids.device)
    words = texts.mask & (places > 0) & (places < texts.last[:, None])
    masked = mask_tokens(texts.token_ids, words, decoder.config.vocab_size, share, draws)
    tokens = decoder.embed(masked.token_ids)
    tokens = torch.where(masked.hidden[..., None], head.mask_token.to(tokens.dtype), tokens)
    met = streams(read(decoder, texts, causal=False, tokens=tokens), texts.mask, sight)
    logits = decoder.logits(head(met.text[masked.chosen])).float()
    each = F.cross_entropy(logits, texts.token_ids[masked.chosen], reduction="none")
    counts = masked.chosen.sum(dim=1, keepdim=True).expand_as(masked.chosen)[masked.chosen]
    return (each / counts).sum()


def masked_image_loss(
    streams: CoAttentionStreams,
    head: nn.Module,
    sight: ImageTokens,
    text: Tensor,
    text_mask: Tensor,
    share: float,
    draws: RowDraws,
) -> Tensor:
    """How far what is predicted of a share of the patches is from the encoder's features of them, the mean over each
    image's; the caption is whole.

    The encoder's own features, as LXMERT (arXiv 1908.07490) and UNITER (1909.11740) regress their detector's, and
    not pixels: it is at the encoder's output that the streams begin, and a token there has seen its neighbours, which
    pixels could be copied from. Since this encoder trains, the features are normalised and no gradient goes through
    them: they do not become easier to predict by becoming small.
    """
    hidden = choose(sight.mask, share, draws)
    met = streams(text, text_mask, sight, hidden)
    target = F.layer_norm(sight.tokens.detach().float(), sight.tokens.shape[-1:])
    each = F.smooth_l1_loss(head(met.image).float(), target, reduction="none").mean(dim=-1)  # [B, N]
    return (each.masked_fill(~hidden, 0.0).sum(dim=1) / hidden.sum(dim=1).clamp(min=1)).sum()
