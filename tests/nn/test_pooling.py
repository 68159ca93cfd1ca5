"""Tokens to one vector: padding has no say."""

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.nn.pooling import AttentionPool, Pool, Pooling, max_over, mean_over


@pytest.mark.parametrize("kind", ["max", "mean", "attention"])
def test_padding_changes_nothing(kind: Pooling) -> None:
    torch.manual_seed(0)
    pool = Pool(kind, 8, num_heads=2)
    tokens = torch.randn(2, 5, 8)
    alone = torch.stack([pool(tokens[:1, :3])[0], pool(tokens[1:])[0]])
    mask = torch.arange(5) < torch.tensor([[3], [5]])
    torch.testing.assert_close(pool(tokens, mask), alone)
    torch.testing.assert_close(pool(tokens.masked_fill(~mask[..., None], 7.0), mask), alone)


def test_mean_and_maximum_leave_padding_out_and_give_0_of_nothing() -> None:
    tokens = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [9.0, 9.0]], [[5.0, 5.0]] * 3])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert mean_over(tokens, mask).tolist() == [[2.0, -3.0], [0.0, 0.0]]
    assert max_over(tokens, mask).tolist() == [[3.0, -2.0], [0.0, 0.0]]


def test_attention_is_torchs_own() -> None:
    torch.manual_seed(0)
    pool = AttentionPool(8, 2, 12)
    reference = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    reference.in_proj_weight, reference.in_proj_bias = pool.query_key_value.weight, pool.query_key_value.bias
    reference.out_proj.weight, reference.out_proj.bias = pool.output.weight, pool.output.bias
    tokens = torch.randn(3, 5, 8)
    attended = reference(pool.query.expand(3, 1, 8), tokens, tokens)[0][:, 0]
    expected = attended + pool.feed_forward(pool.norm(attended))
    torch.testing.assert_close(pool(tokens), expected, atol=1e-6, rtol=1e-5)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(UserError, match="width 8 cannot be pooled by 3 heads"):
        AttentionPool(8, 3, 12)
