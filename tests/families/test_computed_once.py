"""What is computed once, or not at all: an image's keys and values, and the vocabulary where nothing is predicted."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mmbench.data.batch import IGNORED, Batch
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.nn.attention import Kernel, attention_kernel, set_attention_kernel
from mmbench.nn.cross_attention import GatedCrossAttention
from mmbench.nn.decoder import Decoder
from tests.families.tiny import Build


def counted(monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> list[Tensor]:
    """The first argument of each call of a method from now on."""
    calls: list[Tensor] = []
    original: Callable[..., object] = getattr(owner, method)

    def noted(self: object, given: Tensor, *more: object) -> object:
        calls.append(given)
        return original(self, given, *more)

    monkeypatch.setattr(owner, method, noted)
    return calls


@pytest.mark.parametrize("name", ["unified", "crossattn", "hybrid"])
def test_the_vocabulary_is_projected_at_supervised_positions_alone(
    build: Build, batch: Batch, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    family = build(name)
    projected = counted(monkeypatch, Decoder, "logits")
    family.loss(batch)
    supervised = int((batch.labels != IGNORED).sum())
    assert [len(hidden) for hidden in projected] == [supervised]
    assert supervised < batch.labels.numel()


@pytest.mark.parametrize("name", ["unified", "crossattn", "hybrid"])
def test_generation_projects_one_position_a_text_and_step(
    build: Build, datamodule: MultimodalDataModule, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    family = build(name)
    assert isinstance(family, SeeingDecoder)
    family.eos_id = -1
    projected = counted(monkeypatch, Decoder, "logits")
    family.generate(family.see(datamodule.split("test").images(range(3))), [[11, 12], [13], [14, 15, 16]], 5)
    assert [tuple(hidden.shape[:-1]) for hidden in projected] == [(3,)] * 5


@pytest.mark.parametrize("name", ["crossattn", "hybrid"])
def test_keys_and_values_of_an_image_are_made_once_for_a_generation(
    build: Build, datamodule: MultimodalDataModule, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    family = build(name, open_gates=True)
    assert isinstance(family, SeeingDecoder)
    family.eos_id = -1
    made = counted(monkeypatch, GatedCrossAttention, "keys_values")
    read = counted(monkeypatch, GatedCrossAttention, "forward")
    family.generate(family.see(datamodule.split("test").images(range(2))), [[11, 12], [13]], 5)
    layers = [module for module in family.modules() if isinstance(module, GatedCrossAttention)]
    assert len(made) == len(layers)
    assert len(read) == 5 * len(layers)


@pytest.mark.parametrize("kernel", ["sdpa", "plain"])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("num_last", [1, 3, 7])
def test_the_last_positions_alone_are_those_of_all(kernel: Kernel, masked: bool, num_last: int) -> None:
    before = attention_kernel()
    set_attention_kernel(kernel)
    try:
        torch.manual_seed(0)
        decoder = Decoder(Decoder.Config(vocab_size=20, width=32, depth=3, num_heads=4, num_kv_heads=2))
        x, positions = torch.randn(2, 7, 32), torch.arange(7).expand(2, -1)
        mask = torch.ones(2, 1, 7, 7, dtype=torch.bool).tril() if masked else None
        if mask is not None:
            mask[1, :, 1:, 0] = False
        some = decoder(x, positions, mask, num_last=num_last)
        torch.testing.assert_close(some, decoder(x, positions, mask)[:, -num_last:], atol=1e-5, rtol=1e-5)
        rotation = decoder.rotation(positions, torch.float32)
        assert torch.equal(decoder(x, positions, mask, num_last=num_last, rotation=rotation), some)
    finally:
        set_attention_kernel(before)
