"""Retrieval in two steps."""

import numpy as np
import pytest
import torch

from mmbench.metrics import first_candidates, recall_from_scores, reranked_ranks
from mmbench.metrics.retrieval import reranked


def test_the_candidates_are_the_highest_scores_whatever_the_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    queries, gallery = torch.randn(23, 5, generator=generator), torch.randn(40, 5, generator=generator)
    expected = (queries @ gallery.T).topk(6, dim=1).indices.numpy()
    assert (first_candidates(queries, gallery, 6) == expected).all()
    monkeypatch.setattr(reranked, "IMAGE_TILE", 4)
    assert (first_candidates(queries, gallery, 6) == expected).all()
    assert first_candidates(queries, gallery, 99).shape == (23, 40)


def test_where_all_candidates_tie_none_is_favoured_by_its_place() -> None:
    found = first_candidates(torch.ones(1, 2), torch.ones(1000, 2), 500)[0]
    assert 200 < (found < 500).sum() < 300
    assert (found == first_candidates(torch.ones(1, 2), torch.ones(1000, 2), 500)[0]).all()


def test_the_second_score_decides_among_the_candidates() -> None:
    scores = [[0.3, 0.9, 0.5], [0.3, 0.9, 0.5], [0.3, 0.9, 0.5], [0.7, 0.7, 0.1]]
    positive = [[False, True, False], [True, False, True], [False, False, False], [True, False, False]]
    ranks = reranked_ranks(scores, positive, queries=[4, 5, 6, 7])
    assert ranks.recall(1).tolist() == [1.0, 0.0, 0.0, 0.5]
    assert ranks.recall(2).tolist() == [1.0, 1.0, 0.0, 1.0]
    assert ranks.recall(3).tolist() == [1.0, 1.0, 0.0, 1.0], "what is no candidate is not found at any K"
    assert ranks.queries.tolist() == [4, 5, 6, 7]


def test_with_all_as_candidates_it_is_the_recall_of_the_second_score() -> None:
    rng = np.random.default_rng(1)
    scores, owner = rng.integers(0, 4, (12, 6)).astype(float), np.repeat(np.arange(6), 2)
    whole = recall_from_scores(scores, owner)
    by_caption = reranked_ranks(scores, owner[:, None] == np.arange(6))
    by_image = reranked_ranks(scores.T, np.arange(6)[:, None] == owner)
    for k in (1, 2, 5):
        assert by_caption.recall(k) == pytest.approx(whole.text_to_image.recall(k))
        assert by_image.recall(k) == pytest.approx(whole.image_to_text.recall(k))


@pytest.mark.parametrize("scores, words", [([[np.nan]], "not numbers"), ([1.0], "shape"), ([[]], "shape")])
def test_what_cannot_be_ranked_is_refused(scores: list[object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        reranked_ranks(scores, np.ones(np.shape(scores)))


def test_no_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        first_candidates(torch.ones(2, 2), torch.ones(2, 2), 0)
    with pytest.raises(ValueError, match="shapes"):
        first_candidates(torch.ones(2, 2), torch.ones(2, 3), 1)
