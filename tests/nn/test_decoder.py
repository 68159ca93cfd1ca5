"""The decoder: its cache, padding, packing, kernels and types give the same hidden states."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mmbench.config.errors import UserError
from mmbench.config.model import ExpertSettings, LanguageModelSettings
from mmbench.nn.attention import Kernel, attention_kernel, set_attention_kernel
from mmbench.nn.cache import KeyValueCache
from mmbench.nn.decoder import Decoder
from mmbench.nn.rotary import RopeScaling


@pytest.fixture(autouse=True, params=["sdpa", "plain"])
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """Every test runs with both kernels."""
    before = attention_kernel()
    set_attention_kernel(request.param)
    yield request.param
    set_attention_kernel(before)


SIZES: dict[str, Any] = {"width": 32, "depth": 3, "num_heads": 4, "num_kv_heads": 2, "feed_forward_width": 48}
LAYER_NORMS: dict[str, Any] = {
    "norm": "layer",
    "qk_norm": "layer",
    "qkv_bias": True,
    "output_bias": True,
    "feed_forward_bias": True,
    "gated": False,
    "activation": "relu2",
    "rotary_share": 0.5,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "llama": {},
    "layer norms": LAYER_NORMS,
    "rms norms of queries and keys": {"qk_norm": "rms", "norm": "layer", "norm_bias": False},
    "scaled": {"rope_scaling": RopeScaling("linear", 3.0), "mrope_sections": [1, 1, 2]},
    "learned positions": {"rotary_share": 0.0, "max_positions": 16},
    "experts": {"experts": ExpertSettings(num_experts=4, num_active=2, num_shared=1, width=16)},
    "window": {"sliding_window": 4},
}


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(Decoder.Config(50, **SIZES, tie_embeddings=False))


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Decoder:
    """Each variant of the decoder, with norms and biases that are not at their beginning."""
    torch.manual_seed(0)
    decoder = Decoder(Decoder.Config(50, **SIZES, tie_embeddings=False, **VARIANTS[request.param]))
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return decoder


def _ids(batch: int, length: int) -> Tensor:
    return torch.randint(0, 50, (batch, length), generator=torch.Generator().manual_seed(1))


def _plain(decoder: Decoder, ids: Tensor) -> Tensor:
    return decoder(decoder.embed(ids), torch.arange(ids.shape[1]).expand(ids.shape))


def _left_padding(lengths: list[int], length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where tokens are ``[B, L]``, their positions, and the causal mask that leaves padding out."""
    is_token = torch.arange(length) >= length - torch.tensor(lengths)[:, None]
    positions = (is_token.cumsum(1) - 1).clamp(min=0)
    mask = torch.ones(length, length, dtype=torch.bool).tril() & is_token[:, None, None, :]
    return is_token, positions, mask


def test_no_mask_is_causal(variant: Decoder) -> None:
    ids = _ids(2, 9)
    changed = ids.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % 50
    one, other = _plain(variant, ids), _plain(variant, changed)
    torch.testing.assert_close(one[:, :5], other[:, :5])
    assert (one[:, 5:] - other[:, 5:]).abs().max() > 0.01


def test_left_padding_changes_nothing(variant: Decoder) -> None:
    lengths = [9, 6, 2]
    ids = _ids(3, 9)
    _, positions, mask = _left_padding(lengths, 9)
    together = variant(variant.embed(ids), positions, mask)
    for row, length in enumerate(lengths):
        alone = _plain(variant, ids[row : row + 1, 9 - length :])
        torch.testing.assert_close(together[row, 9 - length :], alone[0], atol=1e-5, rtol=1e-4)


def test_cached_decoding_equals_uncached(variant: Decoder) -> None:
    """A prompt with left padding, then one token a step with explicit positions and mask."""
    ids, prompt = _ids(3, 9), 5
    is_token, positions, mask = _left_padding([9, 7, 5], 9)
    whole = variant(variant.embed(ids), positions, mask)
    cache = KeyValueCache(3, 9)
    steps = [(0, prompt), *((step, step + 1) for step in range(prompt, 9))]
    parts = [
        variant(variant.embed(ids[:, start:end]), positions[:, start:end], mask[:, :, start:end, :end], cache)
        for start, end in steps
    ]
    torch.testing.assert_close(torch.cat(parts, 1)[is_token], whole[is_token], atol=1e-5, rtol=1e-4)


def test_cached_decoding_without_mask_is_causal(variant: Decoder) -> None:
    ids = _ids(2, 9)
    positions = torch.arange(9).expand(2, 9)
    cache = KeyValueCache(2, 9)
    parts = [
        variant(variant.embed(ids[:, start:end]), positions[:, start:end], cache=cache)
        for start, end in [(0, 4), (4, 7), (7, 8), (8, 9)]
    ]
    torch.testing.assert_close(torch.cat(parts, 1), _plain(variant, ids), atol=1e-5, rtol=1e-4)


def test_packed_texts_equal_texts_alone(variant: Decoder) -> None:
    """Two texts after one shared prefix, each seeing the prefix and itself."""
    prefix, first, second = _ids(1, 3), _ids(1, 9)[:, 3:7], _ids(1, 14)[:, 9:]
    alone = [_plain(variant, torch.cat((prefix, text), 1))[:, 3:] for text in (first, second)]
    segments = torch.tensor([0] * 3 + [1] * 4 + [2] * 5)
    positions = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 3, 4, 5, 6, 7]])
    sees = (segments[:, None] == segments) | (segments == 0)
    mask = (sees & torch.ones(12, 12, dtype=torch.bool).tril())[None, None]
    packed = variant(variant.embed(torch.cat((prefix, first, second), 1)), positions, mask)
    torch.testing.assert_close(packed[:, 3:], torch.cat(alone, 1), atol=1e-5, rtol=1e-4)


def test_the_default_gives_the_numbers_it_always_gave() -> None:
    """Expected values of the decoder as it was before it had variants."""
    torch.manual_seed(0)
    decoder = Decoder(Decoder.Config(97))
    logits = decoder.logits(_plain(decoder, torch.tensor([[3, 1, 4, 1, 5, 9]])))
    torch.testing.assert_close(
        logits[0, -1, :4], torch.tensor([0.194247, 0.093202, -0.119172, -0.2784]), atol=1e-5, rtol=1e-5
    )


def test_a_window_hides_what_lies_further_back() -> None:
    """Through three layers of window 4 a token reaches 9 back; one layer reaches 3 back."""
    torch.manual_seed(0)
    decoder = Decoder(Decoder.Config(50, **{**SIZES, "depth": 1}, sliding_window=4))
    ids = _ids(1, 9)
    changed = ids.clone()
    changed[:, 3] = (changed[:, 3] + 1) % 50
    differs = (_plain(decoder, ids) - _plain(decoder, changed)).abs().amax(-1)[0] > 1e-6
    assert differs.tolist() == [3 <= token <= 6 for token in range(9)]


def test_positions_of_three_equal_columns_are_those_of_one() -> None:
    torch.manual_seed(0)
    decoder = Decoder(Decoder.Config(50, **SIZES, mrope_sections=[1, 1, 2]))
    ids = _ids(2, 5)
    three = torch.arange(5)[None, :, None].expand(2, 5, 3)
    assert torch.equal(decoder(decoder.embed(ids), three), _plain(decoder, ids))


def test_biases_start_at_zero_and_norms_at_one() -> None:
    decoder = Decoder(Decoder.Config(50, **SIZES, **LAYER_NORMS))
    flat = {name: parameter for name, parameter in decoder.named_parameters() if parameter.dim() == 1}
    assert sum(name.endswith("bias") for name in flat) == 3 * 8 + 1
    for name, parameter in flat.items():
        assert torch.equal(parameter, torch.full_like(parameter, 0.0 if name.endswith("bias") else 1.0))


def test_extra_embeddings_are_read_and_never_predicted() -> None:
    decoder = Decoder(Decoder.Config(50, **SIZES, tie_embeddings=False, extra_embeddings=3))
    assert decoder.logits(decoder.embed(torch.tensor([[52]]))).shape == (1, 1, 50)


def test_settings_with_experts_and_sections() -> None:
    settings = LanguageModelSettings(experts=ExpertSettings(num_experts=4), mrope_sections=[4, 6, 6])
    config = Decoder.Config.from_settings(settings, vocab_size=30)
    assert (config.experts.num_experts, config.mrope_sections) == (4, [4, 6, 6])


def test_rotary_positions_are_relative(decoder: Decoder) -> None:
    ids = _ids(1, 8)
    shifted = decoder(decoder.embed(ids), torch.arange(8)[None] + 100)
    torch.testing.assert_close(shifted, _plain(decoder, ids), atol=1e-4, rtol=1e-3)
    scrambled = decoder(decoder.embed(ids), torch.arange(8)[None] * 3)
    assert (scrambled - shifted).abs().max() > 1e-3


def test_between_stands_before_each_block(decoder: Decoder) -> None:
    ids, seen = _ids(2, 5), []

    def note(block: int, hidden: Tensor) -> Tensor:
        seen.append((block, hidden.shape))
        return hidden + 1 if block == 1 else hidden

    changed = decoder(decoder.embed(ids), torch.arange(5).expand(2, 5), between=note)
    assert seen == [(block, (2, 5, 32)) for block in range(3)]
    assert (changed - _plain(decoder, ids)).abs().max() > 0.01


def test_bfloat16_autocast_is_near_float32(variant: Decoder) -> None:
    ids = _ids(3, 9)
    _, positions, mask = _left_padding([9, 6, 2], 9)
    exact = variant(variant.embed(ids), positions, mask)
    cache = KeyValueCache(3, 9)
    with torch.autocast("cpu", torch.bfloat16):
        rough = variant(variant.embed(ids), positions, mask, cache)
        variant.logits(rough).float().logsumexp(-1).sum().backward()
        assert cache.append(0, *torch.zeros(2, 3, 2, 0, 8))[0].dtype == torch.bfloat16
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in variant.parameters())


def test_flops_are_those_of_the_matrices(decoder: Decoder) -> None:
    ids = _ids(2, 9)
    with FlopCounterMode(display=False) as counter:
        decoder.logits(_plain(decoder, ids))
    matrices = sum(p.numel() for name, p in decoder.named_parameters() if p.dim() == 2 and "embedding" not in name)
    attention = 3 * 2 * 2 * 2 * 4 * 9 * 9 * 8  # layers, products, multiply and add, rows, heads, queries, keys, Dh
    assert counter.get_total_flops() == 2 * matrices * 18 + attention


def test_initial_weights_have_the_stated_spread() -> None:
    torch.manual_seed(0)
    decoder = Decoder(Decoder.Config(400, width=192, depth=8))
    spread = {name: float(p.detach().std()) for name, p in decoder.named_parameters() if p.dim() == 2}
    for name, value in spread.items():
        assert value == pytest.approx(0.02 / 4 if name.endswith(("output.weight", "down.weight")) else 0.02, rel=0.05)
    assert all(torch.equal(p, torch.ones(192)) for p in decoder.parameters() if p.dim() == 1)


def test_tied_head_is_the_embedding() -> None:
    config = Decoder.Config.from_settings(LanguageModelSettings(width=24, num_heads=4, num_kv_heads=2), vocab_size=30)
    decoder = Decoder(config)
    assert config.head_dim == 6
    assert decoder.logits(decoder.embed(torch.tensor([[7]]))).shape == (1, 1, 30)
    assert not any("head" in name for name, _ in decoder.named_parameters())


@pytest.mark.parametrize(("head_dim", "sections"), [(32, [4, 6, 6]), (64, [8, 12, 12]), (128, [16, 24, 24])])
def test_sections_by_the_width_of_a_head(head_dim: int, sections: list[int]) -> None:
    settings = LanguageModelSettings(width=2 * head_dim, num_heads=2, num_kv_heads=1, mrope_sections="auto")
    assert Decoder.Config.from_settings(settings, 50).mrope_sections == sections


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_heads": 6, "num_kv_heads": 4}, "multiple of num_kv_heads 4"),
        ({"width": 100}, "multiple of num_heads 6"),
        ({"width": 18}, "even"),
        ({"rotary_share": 0.1}, "of a head's 32 dimensions 3 turn"),
        ({"mrope_sections": [4, 4, 4]}, "add up to 16"),
        ({"mrope_sections": [8, 8]}, "three numbers"),
        ({"mrope_sections": [-4, 10, 10]}, "none below 0"),
        ({"mrope_sections": [4, 6, 6], "sliding_window": 8}, "drop one"),
        ({"num_heads": 0}, "num_heads is 0; it must be a whole number of at least 1"),
        ({"num_kv_heads": 0}, "num_kv_heads is 0"),
        ({"depth": 0}, "depth is 0"),
        ({"depth": "2"}, "depth is '2'; it must be a whole number"),
        ({"rotary_share": 1.5}, "rotary_share is 1.5; it must be from 0 to 1"),
        ({"activation": "swish"}, "unknown activation of the language model 'swish'.*silu"),
        ({"norm": "batch"}, "unknown norm of the language model 'batch'.*layer, rms"),
        ({"qk_norm": "batch"}, "unknown qk_norm of the language model"),
        ({"extra_embeddings": 1}, "every entry is predicted"),
        ({"experts": ExpertSettings(num_experts=2), "gated": False}, "experts are gated"),
    ],
)
def test_sizes_that_do_not_fit(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Decoder.Config(vocab_size=50, **sizes)
