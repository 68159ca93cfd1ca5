"""Gated cross-attention starts as the identity, and reaches only the positions that see the image."""

from collections.abc import Iterator

import pytest
import torch

from mmbench.nn.attention import attention_kernel, set_attention_kernel
from mmbench.nn.cross_attention import GatedCrossAttention


@pytest.fixture(autouse=True, params=["sdpa", "plain"])
def _kernel(request: pytest.FixtureRequest) -> Iterator[None]:
    before = attention_kernel()
    set_attention_kernel(request.param)
    yield
    set_attention_kernel(before)


def _layer(feed_forward: bool = True, gates: float = 0.0) -> GatedCrossAttention:
    torch.manual_seed(0)
    layer = GatedCrossAttention(32, 4, 2, context_dim=20, feed_forward_width=48, feed_forward=feed_forward)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "gate" in name and "gate_up" not in name:
                parameter.fill_(gates)
    return layer


@pytest.mark.parametrize("feed_forward", [True, False])
def test_closed_gates_give_exactly_the_input(feed_forward: bool) -> None:
    layer = _layer(feed_forward)
    x, context = torch.randn(2, 5, 32), torch.randn(2, 9, 20)
    out = layer(x, layer.keys_values(context))
    assert torch.equal(out, x)
    out.sum().backward()
    gates = [p for name, p in layer.named_parameters() if name.endswith("_gate")]
    assert len(gates) == 1 + feed_forward
    assert all(gate.grad is not None and gate.grad.abs() > 0 for gate in gates)


def test_only_positions_that_see_the_image_change() -> None:
    layer = _layer(gates=0.5)
    x, context = torch.randn(2, 5, 32), torch.randn(2, 9, 20)
    sees = torch.tensor([[True, True, False, True, False], [False] * 5])
    everywhere, out = layer(x, layer.keys_values(context)), layer(x, layer.keys_values(context), sees)
    assert torch.equal(out[~sees], x[~sees])
    assert torch.equal(out[sees], everywhere[sees])
    assert (out[sees] - x[sees]).abs().amax(-1).min() > 1e-4


def test_each_row_sees_its_own_image_all_of_it() -> None:
    layer = _layer(gates=0.5)
    x, context = torch.randn(2, 5, 32), torch.randn(2, 9, 20)
    out = layer(x, layer.keys_values(context))
    alone = layer(x[1:], layer.keys_values(context[1:]))
    torch.testing.assert_close(out[1:], alone)
    shuffled = layer(x, layer.keys_values(context.flip(1)))
    torch.testing.assert_close(shuffled, out)  # image tokens are a set: their place is in their content
    other_last = torch.cat((context[:, :-1], context[:, -1:] + 1), 1)
    assert (layer(x, layer.keys_values(other_last)) - out).abs().max() > 1e-5


def test_keys_and_values_have_the_shape_attention_takes() -> None:
    k, v = _layer().keys_values(torch.randn(2, 9, 20))
    assert k.shape == v.shape == (2, 2, 9, 8)
    assert not torch.equal(k, v)
