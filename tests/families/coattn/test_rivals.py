"""Wrong captions: of the same group, of another row with a caption, and never in the same words."""

import torch
from torch import Tensor

from mmbench.families.coattn.rivals import draw_rivals
from mmbench.nn.row_draws import RowDraws

TEXTS = torch.tensor([[1, 2], [3, 0], [1, 2], [4, 4], [5, 0], [6, 6], [7, 1], [7, 1]])


def _drawn(valid: Tensor, group: int, similarity: Tensor | None = None) -> tuple[list[set[int]], Tensor]:
    seen: list[set[int]] = [set() for _ in TEXTS]
    for seed in range(60):
        draws = RowDraws(torch.arange(len(TEXTS))[:, None], torch.ones(len(TEXTS), 1, dtype=torch.bool), seed)
        rival, found = draw_rivals(TEXTS, valid, group, draws, similarity)
        for row, other in enumerate(rival.tolist()):
            if found[row]:
                seen[row].add(other)
    return seen, found


def test_every_other_caption_of_the_group_is_drawn() -> None:
    seen, found = _drawn(torch.arange(8) != 1, 4)
    assert seen == [{3}, set(), {3}, {0, 2}, {5, 6, 7}, {4, 6, 7}, {4, 5}, {4, 5}]
    assert found.tolist() == [True, False, True, True, True, True, True, True]


def test_a_group_of_one_caption_has_no_rival() -> None:
    seen, found = _drawn(torch.ones(8, dtype=torch.bool), 1)
    assert not bool(found.any()) and not any(seen)
    _, found = _drawn(torch.arange(8) >= 6, 4)
    assert not bool(found.any()), "the two that are left say the same"


def test_hard_negatives_are_drawn_by_the_softmax_of_their_similarity() -> None:
    similarity = torch.zeros(8, 8)
    similarity[4, 6] = 50.0
    similarity[5, 4] = -50.0
    seen, _ = _drawn(torch.ones(8, dtype=torch.bool), 4, similarity)
    assert seen[4] == {6}
    assert seen[5] == {6, 7}


def test_draws_do_not_depend_on_the_micro_batch() -> None:
    keys, valid = torch.arange(8)[:, None], torch.ones(8, dtype=torch.bool)
    ones = torch.ones(8, 1, dtype=torch.bool)
    whole, _ = draw_rivals(TEXTS, valid, 4, RowDraws(keys, ones, 3))
    halves = [draw_rivals(TEXTS[i : i + 4], valid[:4], 4, RowDraws(keys[i : i + 4], ones[:4], 3))[0] for i in (0, 4)]
    assert torch.equal(whole, torch.cat([halves[0], halves[1] + 4]))
