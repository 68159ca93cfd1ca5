"""Adapters: the base model at first, trainable, mergeable, and apart from the decoder's own tensors."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.config.model import ExpertSettings
from mmbench.nn.decoder import Decoder
from mmbench.nn.lora import Adapters, add_lora, merge_lora

IDS = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])


def _decoder(**more: Any) -> Decoder:
    torch.manual_seed(0)
    return Decoder(Decoder.Config(50, width=24, depth=2, num_heads=4, num_kv_heads=2, feed_forward_width=40, **more))


def _hidden(decoder: Decoder) -> Tensor:
    return decoder(decoder.embed(IDS), torch.arange(5).expand(2, 5))


def _move(adapters: Adapters) -> None:
    with torch.no_grad():
        for parameter in adapters.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)


def test_it_starts_as_exactly_the_base_model() -> None:
    decoder = _decoder()
    before, names = _hidden(decoder), list(decoder.state_dict())
    add_lora(decoder, rank=3, alpha=6.0)
    assert torch.equal(_hidden(decoder), before)
    assert list(decoder.state_dict()) == names


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        (["attention"], ["attention/query_key_value", "attention/output"]),
        (["feed_forward"], ["feed_forward/gate_up", "feed_forward/down"]),
        (
            ["all"],
            ["attention/query_key_value", "attention/output", "feed_forward/gate_up", "feed_forward/down"],
        ),
    ],
)
def test_targets(targets: list[str], names: list[str]) -> None:
    adapters = add_lora(_decoder(), 2, 4.0, targets)
    assert sorted(adapters) == sorted(f"blocks/{block}/{name}" for block in range(2) for name in names)
    query_key_value = adapters["blocks/0/" + names[0]]
    assert query_key_value.down.shape == (2, 24)


def test_merged_it_computes_the_same_without_them() -> None:
    decoder = _decoder(qkv_bias=True, gated=False)
    before = _hidden(decoder)
    adapters = add_lora(decoder, rank=3, alpha=6.0)
    _move(adapters)
    adapted = _hidden(decoder)
    assert (adapted - before).abs().max() > 0.01
    merge_lora(decoder, adapters)
    torch.testing.assert_close(_hidden(decoder), adapted, atol=1e-5, rtol=1e-4)
    _move(adapters)
    torch.testing.assert_close(_hidden(decoder), adapted, atol=1e-5, rtol=1e-4)


def test_the_adapters_train_while_the_decoder_is_frozen() -> None:
    decoder = _decoder().requires_grad_(False)
    adapters = add_lora(decoder, rank=2, alpha=2.0)
    optimiser = torch.optim.SGD(adapters.parameters(), lr=0.5)
    losses = []
    for _ in range(4):
        loss = (_hidden(decoder) - 1).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(parameter.grad is not None for parameter in adapters.parameters())
    assert all(parameter.grad is None for parameter in decoder.parameters())


def test_a_copy_of_both_has_adapters_of_its_own() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.decoder = _decoder()
            self.lora = add_lora(self.decoder, 2, 4.0)

    both = Both()
    copied = copy.deepcopy(both)
    before = _hidden(both.decoder)
    _move(copied.lora)
    assert torch.equal(_hidden(both.decoder), before)
    assert (_hidden(copied.decoder) - before).abs().max() > 0.01
    adapted = _hidden(copied.decoder)
    merge_lora(copied.decoder, copied.lora)
    torch.testing.assert_close(_hidden(copied.decoder), adapted, atol=1e-5, rtol=1e-4)


def test_stored_adapters_do_the_same_on_another_copy_of_the_base() -> None:
    decoder, other = _decoder(), _decoder()
    adapters, again = add_lora(decoder, 2, 4.0), add_lora(other, 2, 4.0)
    _move(adapters)
    again.load_state_dict(adapters.state_dict())
    assert torch.equal(_hidden(other), _hidden(decoder))


def test_of_experts_the_shared_ones_are_adapted() -> None:
    adapters = add_lora(_decoder(experts=ExpertSettings(num_experts=4)), 2, 4.0, ["feed_forward"])
    assert set(adapters) == {f"blocks/{b}/feed_forward/shared/{name}" for b in range(2) for name in ("gate_up", "down")}


def test_mistakes() -> None:
    with pytest.raises(UserError, match="unknown lora target 'attenton'; did you mean 'attention'"):
        add_lora(_decoder(), 2, 4.0, ["attenton"])
    with pytest.raises(UserError, match=r"lora\.rank is 0"):
        add_lora(_decoder(), 0, 4.0)
