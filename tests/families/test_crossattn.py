"""What gated cross-attention alone promises: nothing changes until it has learned, and text never does."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.data.batch import Batch
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.crossattn import CrossAttn
from mmbench.families.sight import Sight
from mmbench.families.trunk import SEES_IMAGE
from mmbench.nn.cross_attention import GatedCrossAttention
from tests.families.tiny import Build


def test_at_the_start_it_is_the_language_model(build: Build, batch: Batch) -> None:
    family = build("crossattn")
    with_image = family.decoder.logits(family.read(batch, family.see(batch.images)))
    without = family.decoder.logits(family.read(batch, Sight()))
    assert torch.equal(with_image, without)


def test_text_ability_is_kept_exactly_while_the_language_model_is_frozen(
    build: Build, datamodule: MultimodalDataModule
) -> None:
    family = build("crossattn")
    texts = [datamodule.tokenizer.encode(text) for text in ("a red circle", "how many? two", "a large square")]
    before = family.text_nats(texts)
    family.freeze_all_but(["cross_attention", "gates", "heads"])
    optimizer = family.configure_optimizers()
    for step in range(4):
        loss = family.training_step(datamodule.train_batch(step, 0, 8), step)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(float(layer.attention_gate.detach().abs()) > 0 for layer in gated(family).values())
    assert torch.equal(family.text_nats(texts), before)


def test_positions_that_do_not_see_come_back_bit_for_bit(build: Build, batch: Batch) -> None:
    family = build("crossattn", open_gates=True)
    sees = torch.isin(batch.roles, torch.tensor(SEES_IMAGE))
    between = family.between(family.see(batch.images), sees, 0)
    assert between is not None
    hidden = family.decoder.embed(batch.token_ids)
    after = between(0, hidden)
    assert torch.equal(after[~sees], hidden[~sees])
    assert bool((after[sees] != hidden[sees]).any(-1).all())
    assert between(1, hidden) is hidden, "with a layer before every second block, block 1 has none"


@pytest.mark.parametrize("name", ["crossattn", "hybrid"])
def test_keys_and_values_are_computed_once_a_generation(
    build: Build, datamodule: MultimodalDataModule, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    family = build(name, open_gates=True, every=1)
    seen: list[Any] = []
    family.encoder.register_forward_hook(lambda *_: seen.append(1))
    original = GatedCrossAttention.keys_values
    computed: list[Tensor] = []

    def counted(layer: GatedCrossAttention, context: Tensor) -> tuple[Tensor, Tensor]:
        computed.append(context)
        return original(layer, context)

    monkeypatch.setattr(GatedCrossAttention, "keys_values", counted)
    family.eos_id = -1
    prompts = [datamodule.tokenizer.encode("Caption:")] * 3
    new = family.generate(family.see(datamodule.split("test").images(range(3))), prompts, 10)
    assert [len(tokens) for tokens in new] == [10] * 3
    assert len(computed) == 2, "once for each of the two layers"
    assert len(seen) == (1 if name == "crossattn" else 2), "the hybrid's thumbnail is a second look"


@pytest.mark.parametrize(("every", "blocks"), [(1, ["0", "1"]), (2, ["0"])])
def test_a_layer_before_every_so_many_blocks(build: Build, every: int, blocks: list[str]) -> None:
    family = build("crossattn", every=every, feed_forward=False)
    assert list(gated(family)) == blocks
    assert not any(layer.has_feed_forward for layer in gated(family).values())


def gated(family: Any) -> dict[str, GatedCrossAttention]:
    """The gated layers by block."""
    assert isinstance(family, CrossAttn)
    return dict(family.cross_attention.items())  # type: ignore[arg-type]
