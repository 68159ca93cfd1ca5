"""SwiGLU against its formula."""

import torch
import torch.nn.functional as F

from mmbench.nn.feed_forward import FeedForward, SwiGLU


def test_equals_the_formula() -> None:
    torch.manual_seed(0)
    module, x = SwiGLU(8, 12), torch.randn(3, 8)
    gate, up, down = module.gate_up.weight[:12], module.gate_up.weight[12:], module.down.weight
    torch.testing.assert_close(module(x), (F.silu(x @ gate.T) * (x @ up.T)) @ down.T)


def test_a_plain_one_may_end_in_another_width() -> None:
    torch.manual_seed(0)
    module, x = FeedForward(8, 12, gated=False, activation="relu", bias=True, out_width=5), torch.randn(3, 8)
    inner = F.relu(x @ module.up.weight.T + module.up.bias)
    torch.testing.assert_close(module(x), inner @ module.down.weight.T + module.down.bias)
