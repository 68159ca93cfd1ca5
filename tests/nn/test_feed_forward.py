"""The feed-forward against its formula, gated and plain, and each activation against its definition."""

import math

import pytest
import torch
import torch.nn.functional as F

from mmbench.nn.feed_forward import ACTIVATIONS, Activation, FeedForward


def test_gated_equals_the_formula() -> None:
    torch.manual_seed(0)
    module, x = FeedForward(8, 12), torch.randn(3, 8)
    gate, up, down = module.gate_up.weight[:12], module.gate_up.weight[12:], module.down.weight
    torch.testing.assert_close(module(x), (F.silu(x @ gate.T) * (x @ up.T)) @ down.T)
    assert [name for name, _ in module.named_parameters()] == ["gate_up.weight", "down.weight"]


def test_plain_with_biases_equals_the_formula() -> None:
    torch.manual_seed(0)
    module, x = FeedForward(8, 12, gated=False, activation="relu2", bias=True), torch.randn(3, 8)
    inner = F.linear(x, module.up.weight, module.up.bias).clamp(min=0) ** 2
    torch.testing.assert_close(module(x), inner @ module.down.weight.T + module.down.bias)


@pytest.mark.parametrize(
    ("name", "at_minus_one", "at_two"),
    [
        ("silu", -1 / (1 + math.e), 2 / (1 + math.exp(-2))),
        ("gelu", -(1 + math.erf(-1 / math.sqrt(2))) / 2, 1 + math.erf(math.sqrt(2))),
        ("gelu_tanh", -0.15880801, 1.95459769),
        ("quick_gelu", -1 / (1 + math.exp(1.702)), 2 / (1 + math.exp(-3.404))),
        ("relu2", 0.0, 4.0),
    ],
)
def test_activations(name: Activation, at_minus_one: float, at_two: float) -> None:
    torch.testing.assert_close(ACTIVATIONS[name](torch.tensor([-1.0, 2.0])), torch.tensor([at_minus_one, at_two]))
