"""The cache gives back what was put in, and says when it is full."""

import pytest
import torch

from mmbench.nn.cache import KeyValueCache


def test_appends_layer_by_layer() -> None:
    cache = KeyValueCache(batch=2, max_length=5)
    given = torch.randn(2, 3, 5, 4)
    for start, end in [(0, 3), (3, 4), (4, 5)]:
        for layer in range(2):
            keys, values = cache.append(layer, given[:, :, start:end] + layer, -given[:, :, start:end])
            assert torch.equal(keys, given[:, :, :end] + layer)
            assert torch.equal(values, -given[:, :, :end])
        cache.advance(end - start)
    assert cache.length == 5


def test_takes_the_type_of_the_keys() -> None:
    keys, _ = KeyValueCache(1, 2).append(0, *torch.zeros(2, 1, 1, 1, 4, dtype=torch.bfloat16))
    assert keys.dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(2, 1, 4, 4), (3, 1, 1, 4)])
def test_refuses_what_does_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="room for 2 rows of 3 tokens"):
        KeyValueCache(2, 3).append(0, torch.zeros(shape), torch.zeros(shape))
