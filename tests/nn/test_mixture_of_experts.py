"""The mixture of experts against a loop over tokens, its gradients, and its auxiliary losses by their formulas."""

import copy

import pytest
import torch
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.config.model import ExpertSettings
from mmbench.nn.decoder import Decoder
from mmbench.nn.mixture_of_experts import MixtureOfExperts, Routing, balance_loss, router_z_loss

SETTINGS = ExpertSettings(num_experts=5, num_active=2, num_shared=1, width=6)


def _mixture(settings: ExpertSettings = SETTINGS) -> MixtureOfExperts:
    torch.manual_seed(0)
    mixture = MixtureOfExperts(8, settings)
    with torch.no_grad():
        for parameter in mixture.parameters():
            parameter.normal_(0, 0.5)
    return mixture


def _token_by_token(mixture: MixtureOfExperts, x: Tensor) -> Tensor:
    rows = []
    for token in x.flatten(0, 1):
        scores, chosen = (mixture.router.weight @ token).topk(mixture.num_active)
        out = torch.zeros_like(token) if mixture.shared is None else mixture.shared(token)
        for weight, expert in zip(scores.softmax(-1), chosen, strict=True):
            gate, up = (token @ mixture.experts.gate_up[expert]).chunk(2)
            out = out + weight * ((torch.nn.functional.silu(gate) * up) @ mixture.experts.down[expert])
        rows.append(out)
    return torch.stack(rows).view_as(x)


@pytest.mark.parametrize("settings", [SETTINGS, ExpertSettings(3, 3, 0, 4), ExpertSettings(4, 1, 2, 4)])
def test_equals_a_loop_over_tokens(settings: ExpertSettings) -> None:
    mixture, x = _mixture(settings), torch.randn(3, 7, 8)
    torch.testing.assert_close(mixture(x), _token_by_token(mixture, x))


def test_gradients_equal_those_of_the_loop_and_reach_every_parameter() -> None:
    """Also an expert that no token goes through: its gradient is 0, not none."""
    mixture, x = _mixture(), torch.randn(1, 2, 8)
    assert len(mixture.router(x).topk(2).indices.unique()) < 5
    gradients = []
    for run in (mixture, lambda given: _token_by_token(mixture, given)):
        mixture.zero_grad()
        run(x).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in mixture.parameters()])  # type: ignore[union-attr]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def _routing(logits: list[list[float]], num_active: int = 1) -> Routing:
    scores = torch.tensor([logits])
    return Routing(scores, scores.topk(num_active).indices)


ALL = torch.ones(1, 1, dtype=torch.bool)


def test_balance_is_one_where_tokens_fall_evenly_and_the_experts_number_where_they_fall_on_one() -> None:
    assert balance_loss(_routing([[99.0, 0, 0, 0], [0, 99, 0, 0], [0, 0, 99, 0], [0, 0, 0, 99]]), ALL) == 1
    assert balance_loss(_routing([[99.0, 0, 0, 0]] * 4), ALL) == 4
    assert balance_loss(_routing([[99.0, 99, 0, 0], [0, 0, 99, 99]], num_active=2), ALL) == 1


def test_losses_by_their_formulas() -> None:
    routing = _routing([[1.0, 0.0], [0.0, 0.0], [3.0, 1.0]])
    routing.chosen = torch.tensor([[[0], [1], [0]]])
    probability = routing.logits[0].softmax(-1).mean(0)
    torch.testing.assert_close(balance_loss(routing, ALL), (2 * (2 * probability[0] + probability[1]) / 3)[None])
    torch.testing.assert_close(router_z_loss(routing, ALL), routing.logits[0].logsumexp(-1).square().mean()[None])


def test_padding_counts_in_no_loss() -> None:
    both, one = _routing([[1.0, 0.0], [5.0, 9.0]]), _routing([[1.0, 0.0]])
    is_token = torch.tensor([[True, False]])
    assert torch.equal(balance_loss(both, is_token), balance_loss(one, ALL))
    assert torch.equal(router_z_loss(both, is_token), router_z_loss(one, ALL))


@pytest.mark.parametrize("wrong", [ExpertSettings(2, 3), ExpertSettings(2, 0), ExpertSettings(4, 2, -1)])
def test_numbers_that_do_not_fit(wrong: ExpertSettings) -> None:
    with pytest.raises(UserError, match="num_active must lie between 1 and num_experts"):
        MixtureOfExperts(8, wrong)


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(Decoder.Config(50, width=24, depth=2, num_heads=4, num_kv_heads=2, experts=SETTINGS))


def test_a_decoders_losses_are_of_each_row_and_train_the_router(decoder: Decoder) -> None:
    ids, positions = torch.randint(0, 50, (3, 6)), torch.arange(6).expand(3, 6)
    decoder(decoder.embed(ids), positions)
    losses = decoder.auxiliary_losses()
    assert {name: loss.shape for name, loss in losses.items()} == {"balance": (3,), "router_z": (3,)}
    assert (losses["balance"] > 0.9).all()
    sum(loss.sum() for loss in losses.values()).backward()
    assert all(block.feed_forward.router.weight.grad.abs().sum() > 0 for block in decoder.blocks)
    decoder(decoder.embed(ids[1:2]), positions[:1])
    for name, alone in decoder.auxiliary_losses().items():
        torch.testing.assert_close(alone, losses[name][1:2])


def test_a_decoders_losses_leave_padding_out(decoder: Decoder) -> None:
    ids = torch.randint(0, 50, (1, 6))
    is_token = torch.tensor([[False, False, True, True, True, True]])
    mask = torch.ones(6, 6, dtype=torch.bool).tril() & is_token[:, None, None, :]
    decoder(decoder.embed(ids), (is_token.cumsum(1) - 1).clamp(min=0), mask)
    padded = decoder.auxiliary_losses()
    decoder(decoder.embed(ids[:, 2:]), torch.arange(4)[None])
    for name, loss in decoder.auxiliary_losses().items():
        torch.testing.assert_close(padded[name], loss)


def test_there_are_no_losses_without_gradients_or_experts(decoder: Decoder) -> None:
    ids, positions = torch.randint(0, 50, (1, 6)), torch.arange(6)[None]
    decoder(decoder.embed(ids), positions)
    with torch.no_grad():
        decoder(decoder.embed(ids), positions)
    assert decoder.auxiliary_losses() == {}
    dense = Decoder(Decoder.Config(50))
    dense(dense.embed(ids), positions)
    assert dense.auxiliary_losses() == {}


def test_a_decoder_can_be_copied_after_a_forward_pass(decoder: Decoder) -> None:
    ids, positions = torch.randint(0, 50, (1, 6)), torch.arange(6)[None]
    expected = decoder(decoder.embed(ids), positions)
    copied = copy.deepcopy(decoder)
    assert torch.equal(copied(copied.embed(ids), positions), expected)


def test_active_parameters_leave_out_the_experts_not_chosen(decoder: Decoder) -> None:
    total = sum(parameter.numel() for parameter in decoder.parameters())
    one_expert = 3 * 24 * 6  # gate, up and down
    assert decoder.num_active_parameters() == total - 2 * 3 * one_expert
    dense = Decoder(Decoder.Config(50))
    assert dense.num_active_parameters() == sum(parameter.numel() for parameter in dense.parameters())
