"""Gated cross-attention starts as the identity, and reaches only the positions that see the image."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from mmbench.nn.attention import attention_kernel, set_attention_kernel
from mmbench.nn.cross_attention import KINDS, ContextMask, GatedCrossAttention, Unreached


@pytest.fixture(autouse=True, params=["sdpa", "plain"])
def _kernel(request: pytest.FixtureRequest) -> Iterator[None]:
    before = attention_kernel()
    set_attention_kernel(request.param)
    yield
    set_attention_kernel(before)


def _layer(feed_forward: bool = True, gates: float = 0.0, **kind: Any) -> GatedCrossAttention:
    torch.manual_seed(0)
    layer = GatedCrossAttention(32, 4, 2, context_dim=20, feed_forward_width=48, feed_forward=feed_forward, **kind)
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


@pytest.mark.parametrize("kind", KINDS)
def test_positions_that_do_not_see_the_image_come_back_in_every_kind(kind: str) -> None:
    layer = _layer(gates=0.5, **KINDS[kind])
    x, context = torch.randn(2, 5, 32), torch.randn(2, 9, 20)
    sees = torch.tensor([[True, False, True, True, False], [False] * 5])
    out = layer(x, layer.keys_values(context), sees, torch.rand(2, 1, 5, 9) < 0.3)
    assert torch.equal(out[~sees], x[~sees])


@pytest.mark.parametrize("unreached", ["nothing", "feed_forward", "attention"])
def test_a_mask_says_what_each_position_attends_to(unreached: Unreached) -> None:
    layer = _layer(gates=0.5, unreached=unreached, qk_norm=True)
    x, context = torch.randn(2, 5, 32), torch.randn(2, 9, 20)
    mask = torch.zeros(2, 1, 5, 9, dtype=torch.bool)
    mask[:, :, 1, :4] = True  # position 1 attends to the first four tokens, 2 to all, the others to none
    mask[:, :, 2] = True
    kv = layer.keys_values(context)
    out = layer(x, kv, None, mask)
    torch.testing.assert_close(out[:, 1], layer(x, layer.keys_values(context[:, :4]))[:, 1])
    torch.testing.assert_close(out[:, 2], layer(x, kv)[:, 2])
    assert torch.equal(layer(x, kv, None, ContextMask.of(mask, x.dtype)), out)
    # The first position reaches nothing.
    of_nothing = {
        "nothing": x,
        "feed_forward": x + layer.feed_forward(layer.feed_forward_norm(x)) * torch.tensor(0.5).tanh(),
        "attention": _without_feed_forward(layer)(x, kv),
    }
    torch.testing.assert_close(out[:, 0], of_nothing[unreached][:, 0])
    assert torch.equal(out[:, 0], x[:, 0]) == (unreached == "nothing")


def test_one_mask_for_all_rows() -> None:
    layer = _layer(gates=0.5)
    x, context = torch.randn(3, 5, 32), torch.randn(3, 9, 20)
    mask = torch.ones(1, 1, 5, 9, dtype=torch.bool).tril()
    mask[:, :, 0] = False
    kv = layer.keys_values(context)
    torch.testing.assert_close(layer(x, kv, None, mask), layer(x, kv, None, mask.expand(3, -1, -1, -1)))


def test_what_reaches_nothing_sends_no_gradient_to_the_image() -> None:
    layer = _layer(gates=0.5, qk_norm=True, vector_gates=True)
    x, context = torch.randn(1, 3, 32), torch.randn(1, 9, 20, requires_grad=True)
    mask = torch.zeros(1, 1, 3, 9, dtype=torch.bool)
    mask[:, :, 2, :5] = True
    layer(x, layer.keys_values(context), None, mask).square().sum().backward()
    assert context.grad is not None
    assert context.grad[0].any(-1).tolist() == [True] * 5 + [False] * 4
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in layer.parameters())


def test_heads_of_another_width_and_a_gate_for_each_entry() -> None:
    layer = _layer(head_dim=12, vector_gates=True)
    k, v = layer.keys_values(torch.randn(2, 9, 20))
    assert k.shape == v.shape == (2, 2, 9, 12)
    assert [gate.shape for gate in layer.gates()] == [(32,), (32,)]
    x = torch.randn(2, 5, 32)
    assert torch.equal(layer(x, (k, v)), x)


@pytest.mark.filterwarnings("error")
def test_half_precision_is_near() -> None:
    layer = _layer(gates=0.5, qk_norm=True)
    x, context = torch.randn(2, 5, 32), torch.randn(2, 9, 20)
    mask = torch.ones(2, 1, 5, 9, dtype=torch.bool)
    mask[:, :, 0] = False
    with torch.autocast("cpu", torch.bfloat16):
        k, v = layer.keys_values(context)
        half = layer(x, (k, v), None, mask)
    assert k.dtype == v.dtype == torch.bfloat16 and half.dtype == torch.float32
    assert torch.equal(half[:, 0], x[:, 0])
    torch.testing.assert_close(half, layer(x, layer.keys_values(context), None, mask), atol=1e-3, rtol=1e-2)


def _without_feed_forward(layer: GatedCrossAttention) -> GatedCrossAttention:
    """The same attention alone."""
    alone = _layer(False, 0.5, qk_norm=True)
    alone.load_state_dict({name: layer.state_dict()[name] for name in alone.state_dict()})
    return alone
