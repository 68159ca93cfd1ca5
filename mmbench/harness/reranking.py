"""Retrieval in two steps: candidates by embedding, then the order of the likelihood of a caption given an image."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmbench.data.prompts import CAPTION_PROMPT, continuation
from mmbench.families.family import Family
from mmbench.harness.scorer import Scorer
from mmbench.harness.tables import captions_of
from mmbench.metrics import RetrievalScores, first_candidates, reranked_ranks

Progress = Callable[[float], None]
"""Called with the fraction that is done."""

_DECIMALS = 4
"""Nats are compared with so many: what differs by less differs by how the batches fell."""


def reranked(scorer: Scorer, num_candidates: int, progress: Progress) -> RetrievalScores:
    """Ranks in both directions among the first candidates of each query.

    Images are ordered by log p(caption | image). Captions are ordered by log p(caption | image) - log p(caption), where
    the last is read with the image withheld: by itself the likelihood would favour short and common captions whatever
    the image (Lin et al. 2024, arXiv 2306.01879). A family without likelihoods is asked whether the caption belongs to
    the image instead (ALBEF, arXiv 2107.07651).
    """
    captions = captions_of(scorer.split)
    owner = np.array([index for index, _, _ in captions], dtype=np.int64)
    images, texts = scorer.image_embeddings, scorer.caption_embeddings
    for_captions = first_candidates(texts, images, num_candidates)
    shown = np.unique(owner)
    for_images = first_candidates(images[torch.from_numpy(shown).to(images.device)], texts, num_candidates)
    # (image, caption) of both directions, each once, image by image so that an image is seen once for all of its own.
    places = np.arange(len(captions))
    of_captions = for_captions * len(captions) + places[:, None]
    of_images = shown[:, None] * len(captions) + for_images
    pairs = np.unique(np.concatenate([of_captions.ravel(), of_images.ravel()]))
    scores = _pair_scores(scorer, pairs // len(captions), pairs % len(captions), progress)
    prior = _prior(scorer)

    def looked_up(wanted: NDArray[np.int64]) -> NDArray[np.float64]:
        return scores[np.searchsorted(pairs, wanted)]

    return RetrievalScores(
        text_to_image=reranked_ranks(looked_up(of_captions), for_captions == owner[:, None]),
        image_to_text=reranked_ranks(
            np.round(looked_up(of_images) - prior[for_images], _DECIMALS), owner[for_images] == shown[:, None], shown
        ),
        num_images=len(scorer.split),
        num_captions=len(captions),
    )


def _pair_scores(
    scorer: Scorer, images: NDArray[np.int64], captions: NDArray[np.int64], progress: Progress
) -> NDArray[np.float64]:
    """float64 [P] of each pair."""
    texts = _texts(scorer)
    found: list[Tensor] = []
    for batch in scorer.batches(range(len(images))):
        sight = scorer.sight(images[batch].tolist())
        ids = [texts[caption] for caption in captions[batch].tolist()]
        if _by_likelihood(scorer):
            found.append(scorer.family.log_likelihood(sight, [_prompt(scorer)] * len(ids), ids))
        else:
            found.append(scorer.family.match_scores(sight, ids))
        progress((batch[-1] + 1) / len(images))
    return np.round(torch.cat(found).double().cpu().numpy(), _DECIMALS)


def _prior(scorer: Scorer) -> NDArray[np.float64]:
    """float64 [C] log-likelihood of each caption without an image; 0 where there are no likelihoods."""
    texts = _texts(scorer)
    if not _by_likelihood(scorer):
        return np.zeros(len(texts))
    prompt = _prompt(scorer)
    found = [
        scorer.family.log_likelihood(scorer.family.see_nothing(len(batch)), [prompt] * len(batch), batch)
        for batch in scorer.batches(texts)
    ]
    return np.round(torch.cat(found).double().cpu().numpy(), _DECIMALS)


def _by_likelihood(scorer: Scorer) -> bool:
    return type(scorer.family).log_likelihood is not Family.log_likelihood


def _prompt(scorer: Scorer) -> list[int]:
    return scorer.tokenizer.encode(CAPTION_PROMPT)


def _texts(scorer: Scorer) -> list[list[int]]:
    return [scorer.encode(continuation(text)) for _, _, text in captions_of(scorer.split)]
