"""Where the streams meet: which layers of the encoder and of the language model each placement uses."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.config.model import SystemSettings
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.fusion.family import Fusion
from mmbench.families.fusion.placements.intermediate import Intermediate
from mmbench.families.registry import build_family
from mmbench.families.segments import Texts
from tests.families.tiny import built, shared_parts


def fusion_of(settings: Settings, datamodule: MultimodalDataModule, **options: Any) -> Fusion:
    family = built(SystemSettings(family="fusion", options=options), settings, datamodule)
    assert isinstance(family, Fusion)
    return family.eval()


@pytest.fixture
def images(datamodule: MultimodalDataModule) -> Tensor:
    return datamodule.split("test").images(range(2))


def test_early_fusion_keeps_one_block_of_the_encoder(
    settings: Settings, datamodule: MultimodalDataModule, images: Tensor
) -> None:
    late = fusion_of(settings, datamodule, placement="late")
    pixels = late.encoder.normalise(images)
    first = late.encoder.features(pixels, [1])[0]
    early = fusion_of(settings, datamodule, placement="early")
    torch.testing.assert_close(early.see(images).layers, [first])
    torch.testing.assert_close(late.see(images).layers, [late.encoder(pixels)])
    shared = shared_parts(settings, datamodule)
    build_family(SystemSettings(family="fusion", options={"placement": "early"}), shared, {})
    assert torch.equal(shared.encoder(pixels), late.encoder(pixels)), "the shared encoder stays whole"
    count = {family: sum(p.numel() for p in family.encoder.parameters()) for family in (early, late)}
    assert count[early] < count[late] / 2


def test_intermediate_meetings_are_spread_over_both(
    settings: Settings, datamodule: MultimodalDataModule, images: Tensor
) -> None:
    family = fusion_of(settings, datamodule)
    fusion = family.fusion
    assert isinstance(fusion, Intermediate)
    assert (fusion.image_layers, fusion.blocks) == ([2, 3, 4], [1, 2, 3])
    pixels = family.encoder.normalise(images)
    expected = [*family.encoder.features(pixels, [2, 3]), family.encoder(pixels)]
    torch.testing.assert_close(family.see(images).layers, expected)
    one = fusion_of(settings, datamodule, layers=1).fusion
    assert isinstance(one, Intermediate)
    assert (one.image_layers, one.blocks) == ([4], [2])
    deep = replace(settings, language_model=replace(settings.language_model, depth=9))
    two = fusion_of(deep, datamodule, layers=2).fusion
    assert isinstance(two, Intermediate)
    assert (two.image_layers, two.blocks) == ([2, 4], [3, 6])


def test_intermediate_text_is_read_alone_before_the_first_meeting(
    settings: Settings, datamodule: MultimodalDataModule, images: Tensor
) -> None:
    """What enters the first block is the words' embeddings; what enters each later one has met the image."""
    family = fusion_of(settings, datamodule)
    entering: list[list[Tensor]] = []
    for sight in (family.see(images), family.see(images.flip(0))):
        seen: list[Tensor] = []
        hooks = [
            block.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
            for block in family.decoder.blocks
        ]
        family.scores(sight, Texts.of([[5, 6], [5, 6]], "cpu"))
        for hook in hooks:
            hook.remove()
        entering.append(seen)
    same = [torch.equal(a, b) for a, b in zip(*entering, strict=True)]
    assert same == [True, False, False, False]


def test_late_text_is_read_alone_to_the_end(
    settings: Settings, datamodule: MultimodalDataModule, images: Tensor
) -> None:
    """The language model reads a question as it would without an image; a word sees those behind it, too."""
    for placement in ("late", "pooled"):
        family = fusion_of(settings, datamodule, placement=placement)
        seen: list[Tensor] = []
        family.decoder.norm.register_forward_hook(lambda _module, _inputs, out, seen=seen: seen.append(out))
        for texts in ([[5, 6, 7]], [[5, 6, 8]]):
            for sight in (family.see(images[:1]), family.see(images[1:])):
                family.scores(sight, Texts.of(texts, "cpu"))
        assert torch.equal(seen[0], seen[1])
        assert not torch.allclose(seen[0][:, 1], seen[2][:, 1])


def test_without_a_gap_between_blocks_there_is_one_meeting_at_most(
    settings: Settings, datamodule: MultimodalDataModule
) -> None:
    shallow = replace(settings, language_model=replace(settings.language_model, depth=2))
    fusion = fusion_of(shallow, datamodule).fusion
    assert isinstance(fusion, Intermediate)
    assert (fusion.image_layers, fusion.blocks) == ([4], [1])
