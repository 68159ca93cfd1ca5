"""Token losses equal those of float64 by the definition, in half precision too; tiles and batches change nothing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.text import perplexity

from mmbench.metrics import TokenLoss, token_loss
from mmbench.metrics.language_model import token_loss as file

IGNORED = -100


def batch(seed: int = 0, shape: tuple[int, int, int] = (5, 7, 11)) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, labels and a mask; what the mask leaves out is no label and no number."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape, generator=generator)
    labels = torch.randint(shape[2], shape[:2], generator=generator)
    mask = torch.rand(shape[:2], generator=generator) < 0.6
    mask[:, 0] = True
    return logits.masked_fill(~mask[..., None], math.nan), labels.masked_fill(~mask, IGNORED), mask


def by_definition(logits: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor) -> list[list[float]]:
    """Nats of each token of each example, in float64."""
    return [
        [
            -math.log(math.exp(row[place][labels[i, place]]) / sum(map(math.exp, row[place])))
            for place in range(len(row))
            if mask[i, place]
        ]
        for i, row in enumerate(logits.double().tolist())
    ]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_equals_the_definition(dtype: torch.dtype) -> None:
    logits, labels, mask = batch()
    logits = logits.to(dtype)
    found = token_loss(logits, labels, mask)
    nats = by_definition(logits, labels, mask)
    assert found.num_tokens.tolist() == [len(example) for example in nats]
    assert found.nats.tolist() == pytest.approx([sum(example) / len(example) for example in nats], rel=1e-6)
    mean = sum(map(sum, nats)) / sum(map(len, nats))
    assert found.token_loss() == pytest.approx(mean, rel=1e-6)
    assert found.perplexity() == pytest.approx(math.exp(mean), rel=1e-6)


def test_equals_torchmetrics() -> None:
    logits, labels, mask = batch()
    expected = perplexity(logits.nan_to_num(0.0), labels, ignore_index=IGNORED)
    assert token_loss(logits, labels, mask).perplexity() == pytest.approx(expected.item(), rel=1e-6)


def test_probabilities_that_half_precision_would_lose() -> None:
    """Softmax in half precision gives 0 and a loss of infinity; the loss is 40 nats."""
    logits = torch.tensor([[[0.0, 40.0]]], dtype=torch.float16)
    assert token_loss(logits, torch.tensor([[0]]), torch.tensor([[True]])).nats.tolist() == [40.0]


def test_log_probabilities_are_logits() -> None:
    logits, labels, mask = batch()
    found = token_loss(logits.log_softmax(dim=-1), labels, mask)
    torch.testing.assert_close(found.nats, token_loss(logits, labels, mask).nats)


def test_uniform_model_has_the_vocabulary_as_perplexity() -> None:
    found = token_loss(torch.zeros(2, 3, 50), torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 3, dtype=torch.bool))
    assert found.perplexity() == pytest.approx(50, rel=1e-6)


def test_impossible_token() -> None:
    logits, labels, mask = torch.tensor([[[0.0, -math.inf], [0.0, 0.0]]]), torch.tensor([[1, 0]]), torch.ones(1, 2) > 0
    found = token_loss(logits, labels, mask)
    assert (found.token_loss(), found.perplexity()) == (math.inf, math.inf)
    metric = TokenLoss()
    for _ in range(2):
        metric.update(["a"], logits, labels, mask)
    assert metric.compute() == {"token_loss": math.inf, "perplexity": math.inf}


def test_perplexity_beyond_float64() -> None:
    found = token_loss(torch.tensor([[[0.0, 1000.0]]]), torch.tensor([[0]]), torch.tensor([[True]]))
    assert (found.token_loss(), found.perplexity()) == (1000.0, math.inf)


def test_tiles_and_views_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels, mask = batch()
    whole = token_loss(logits, labels, mask)
    monkeypatch.setattr(file, "_TILE", 25)  # two tokens
    wider = torch.cat([logits, logits], dim=1)[:, :7]
    assert not wider.is_contiguous()
    tiled = token_loss(wider, labels, mask)
    assert tiled.nats.tolist() == whole.nats.tolist()
    assert tiled.num_tokens.tolist() == whole.num_tokens.tolist()


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(5)), st.integers(1, 5), st.lists(st.integers(0, 4), max_size=3))
def test_order_batches_and_repeats_change_nothing(order: list[int], size: int, repeated: list[int]) -> None:
    logits, labels, mask = batch()
    whole, parts = TokenLoss(), TokenLoss()
    whole.update([f"text {i}" for i in range(5)], logits, labels, mask)
    for start in range(0, 5, size):
        chosen = order[start : start + size]
        parts.update([f"text {i}" for i in chosen], logits[chosen], labels[chosen], mask[chosen])
    for i in repeated:
        parts.update([f"text {i}"], logits[[i]], labels[[i]], mask[[i]])
    assert parts.compute() == whole.compute()
    assert parts.num_duplicates == len(repeated)
    assert parts.per_example() == whole.per_example()


def test_class_equals_function() -> None:
    logits, labels, mask = batch()
    found, metric = token_loss(logits, labels, mask), TokenLoss()
    metric.update([3, 1, 2, 5, 4], logits, labels, mask)
    assert metric.compute() == {"token_loss": found.token_loss(), "perplexity": found.perplexity()}
    assert metric.per_example() == {i: found.nats.tolist()[[3, 1, 2, 5, 4].index(i)] for i in range(1, 6)}
    weighted = [metric.per_example()[i] * num for i, num in metric.num_tokens().items()]
    assert sum(weighted) / sum(metric.num_tokens().values()) == pytest.approx(found.token_loss(), rel=1e-12)


def test_half_precision_of_another_batch_is_no_contradiction() -> None:
    logits, labels, mask = batch()
    metric, turned = TokenLoss(), TokenLoss()
    halves = [logits.half(), logits.bfloat16()]
    for each, order in ((metric, halves), (turned, halves[::-1])):
        for given_logits in order:
            each.update(range(5), given_logits, labels, mask)
    assert metric.compute() == turned.compute()
    assert metric.num_duplicates == 5
    metric.update([4], logits[[3]], labels[[3]], mask[[3]])
    with pytest.raises(ValueError, match="4 was added twice with different numbers"):
        metric.compute()


def test_bad_input() -> None:
    logits, labels, mask = batch()
    with pytest.raises(ValueError, match=r"need the shapes .* not \[5, 7, 11\], \[5, 6\] and \[5, 7\]"):
        token_loss(logits, labels[:, 1:], mask)
    with pytest.raises(TypeError, match=r"mask is of type torch\.int64"):
        token_loss(logits, labels, mask.long())
    with pytest.raises(ValueError, match="no samples"):
        token_loss(logits[:0], labels[:0], mask[:0])
    with pytest.raises(ValueError, match="2 of 5 examples have no token to score, such as rows 1, 4"):
        token_loss(logits, labels, mask & torch.tensor([True, False, True, True, False])[:, None])
    with pytest.raises(ValueError, match=rf"1 of {int(mask.sum())} labels are outside 0\.\.10, such as 11"):
        token_loss(logits, labels.index_put((torch.tensor(2), torch.tensor(0)), torch.tensor(11)), mask)
    for bad in (math.nan, math.inf):
        broken = logits.clone()
        broken[1, 0, 3] = broken[3, 0, 4] = bad
        with pytest.raises(ValueError, match=rf"logits of 2 of {int(mask.sum())} tokens, in 2 of 5 examples"):
            token_loss(broken, labels, mask)
    with pytest.raises(ValueError, match="no samples"):
        TokenLoss().compute()
    with pytest.raises(ValueError, match="2 ids for 5 examples"):
        TokenLoss().update([1, 2], logits, labels, mask)
    with pytest.raises(TypeError, match="an id is of type float"):
        TokenLoss().update([1.0, 2, 3, 4, 5], logits, labels, mask)  # type: ignore[list-item]
