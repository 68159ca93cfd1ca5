"""Which tokens are hidden: as many as asked for, where they may be, and never in what stays."""

import pytest
import torch

from mmbench.nn.masking import choose, mask_tokens
from mmbench.nn.row_draws import RowDraws


def _draws(num_rows: int, seed: int = 0) -> RowDraws:
    return RowDraws(torch.arange(num_rows)[:, None], torch.ones(num_rows, 1, dtype=torch.bool), seed)


@pytest.mark.parametrize(("share", "expected"), [(0.15, [3, 1, 1, 0]), (0.5, [10, 3, 1, 0]), (1.0, [20, 6, 1, 0])])
def test_a_share_of_what_is_eligible_and_at_least_one(share: float, expected: list[int]) -> None:
    eligible = torch.arange(20) >= 20 - torch.tensor([[20], [6], [1], [0]])
    for seed in range(5):
        chosen = choose(eligible, share, _draws(4, seed))
        assert chosen.sum(dim=1).tolist() == expected
        assert not bool((chosen & ~eligible).any())


def test_every_place_is_as_likely() -> None:
    often = choose(torch.ones(4000, 10, dtype=torch.bool), 0.2, _draws(4000)).float().mean(dim=0)
    torch.testing.assert_close(often, torch.full((10,), 0.2), atol=0.025, rtol=0)


def test_eight_tenths_masked_one_tenth_random_one_tenth_kept() -> None:
    torch.manual_seed(0)
    ids = torch.randint(0, 1000, (400, 40))
    eligible = torch.rand(400, 40) < 0.7
    masked = mask_tokens(ids, eligible, 1000, 0.5, _draws(400))
    num_chosen = int(masked.chosen.sum())
    assert not bool((masked.chosen & ~eligible).any())
    assert not bool((masked.hidden & ~masked.chosen).any())
    changed = masked.token_ids != ids
    assert not bool((changed & (~masked.chosen | masked.hidden)).any())
    assert int(masked.hidden.sum()) / num_chosen == pytest.approx(0.8, abs=0.02)
    assert int(changed.sum()) / num_chosen == pytest.approx(0.1, abs=0.02)
    assert masked.token_ids.min() >= 0 and masked.token_ids.max() < 1000
