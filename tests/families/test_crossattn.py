"""What gated cross-attention alone promises: nothing changes until it has learned, and text never does."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.data.batch import Batch
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.crossattn import CrossAttn
from mmbench.families.sight import Sight
from mmbench.families.trunk import SEES_IMAGE
from mmbench.nn.cross_attention import GatedCrossAttention
from tests.families.tiny import Build
from tests.families.vision.pictures import pictures
from tests.families.vision.reading import check_sizes


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
    assert len(computed) == 4, "once for each of the four layers"
    assert len(seen) == (1 if name == "crossattn" else 2), "the hybrid's thumbnail is a second look"


def test_a_layer_before_every_so_many_blocks(build: Build) -> None:
    assert list(gated(build("crossattn", every=3))) == ["0", "3"]


def test_a_resampler_makes_few_tokens_of_many(build: Build, batch: Batch) -> None:
    resampler = {"num_latents": 5, "depth": 1, "num_heads": 2}
    family = build("crossattn", connector="perceiver", connector_options=resampler)
    keys, _ = family.see(batch.images).contexts[0]
    assert keys.shape[2] == 5
    assert gated(family)["0"].key_value.in_features == family.decoder.config.width
    narrow = build("crossattn", connector="perceiver", connector_options=resampler, context_width=24)
    assert gated(narrow)["0"].key_value.in_features == 24
    assert "connector" in family.parts()
    assert "connector" not in build("crossattn").parts(), "nothing stands between encoder and gated layers"


def test_layers_of_the_encoder_joined(build: Build, batch: Batch) -> None:
    family = build("crossattn", layers=[1, 2], with_last=True)
    assert gated(family)["0"].key_value.in_features == 3 * 24
    assert family.see(batch.images).contexts[0][0].shape[2] == 16


def test_tags_stand_in_the_text_and_look_at_their_tile(build: Build) -> None:
    """A change in one tile moves that tile's tag and what the text makes of the image, and no other tag."""
    family = build("crossattn", open_gates=True, views="tiles", thumbnail="none", tile_tags=True, every=4)
    images = pictures()[:1]
    changed = images.clone()
    changed[:, :, 24:, 24:] = 255  # the last of four tiles
    moved = [moved_by_the_image(family, image) for image in (images, changed)]
    assert [torch.equal(*tag) for tag in zip(*moved, strict=True)] == [True] * 3 + [False]


def test_pictures_of_several_sizes_are_read_as_if_alone(build: Build, datamodule: MultimodalDataModule) -> None:
    for options in ({"views": "tiles", "tile_tags": True}, {"views": "tiles", "connector": "pixel_shuffle"}):
        check_sizes(build("crossattn", open_gates=True, **options), datamodule)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context_width": 8}, "'context_width' is 8, but there is no connector"),
        ({"tile_tags": True}, "'tile_tags' is True, but there are no tiles.*views: tiles"),
        ({"every": 5}, "'every' is 5; it must be from 1 to 4"),
        ({"connector": "linear", "context_width": 0}, "'context_width' is 0; it must be at least 1"),
        ({"layers": [1], "class_token": True}, "'class_token' is true, but the encoder has no class token"),
    ],
)
def test_what_does_not_go_together(build: Build, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build("crossattn", **options)


def moved_by_the_image(family: Any, images: Tensor) -> list[Tensor]:
    """What the first gated layer adds to each tag."""
    sight = family.see(images)
    prefix = family.prefix(sight, len(images))
    sees = torch.zeros(prefix.shape[:2], dtype=torch.bool)
    between = family.between(sight, sees, prefix.shape[1])
    return list((between(0, prefix) - prefix)[0, 1:])


def gated(family: Any) -> dict[str, GatedCrossAttention]:
    """The gated layers by block."""
    assert isinstance(family, CrossAttn)
    return dict(family.cross_attention.items())  # type: ignore[arg-type]
