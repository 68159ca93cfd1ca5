"""Image tokens in the context: how many, in which order, and that they stay out of the vocabulary."""

import pytest
import torch
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.config.model import SystemSettings
from mmbench.config.settings import Settings
from mmbench.data.batch import IGNORED, Batch
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.family import Family
from mmbench.families.unified import Unified
from tests.families.tiny import Build, built
from tests.families.vision.pictures import SIZES, pictures
from tests.families.vision.reading import check_sizes


def test_every_patch_becomes_a_token(build: Build, batch: Batch) -> None:
    family = unified(build("unified", connector="linear"))
    prefix = family.see(batch.images).prefix
    encoded = family.encoder(family.encoder.normalise(batch.images))
    assert prefix is not None
    assert torch.equal(prefix, family.connector(encoded, (4, 4)))


def test_without_an_encoder_pixels_go_through_one_linear_layer(build: Build, batch: Batch) -> None:
    family = unified(build("unified", encoder="none", connector="linear", row_breaks="newline", views="native"))
    assert "encoder" not in family.parts()
    prefix = family.see(batch.images).prefix
    assert prefix is not None
    assert prefix.shape == (8, 20, family.decoder.config.width)
    pixels = (batch.images[:, :, :12, 36:].float() / 127.5 - 1).permute(0, 2, 3, 1).flatten(1)
    layer = family.connector.projection
    torch.testing.assert_close(prefix[:, 3], torch.nn.functional.linear(pixels, layer.weight, layer.bias))  # type: ignore[arg-type]
    assert torch.equal(prefix[:, 4], prefix[:, 9]), "the newline"


def test_patches_may_have_another_size_without_an_encoder(build: Build, batch: Batch) -> None:
    prefix = unified(build("unified", encoder="none", patch_size=16, connector="linear")).see(batch.images).prefix
    assert prefix is not None
    assert prefix.shape[1] == 9


def test_lead_is_read_before_the_image(build: Build, batch: Batch) -> None:
    family = unified(build("unified", lead=[5, 7]))
    prefix = family.see(batch.images).prefix
    assert prefix is not None
    assert torch.equal(prefix[:, :2], family.decoder.embed(torch.tensor([5, 7])).expand(8, -1, -1))
    with pytest.raises(UserError, match="'lead' has 300, but token ids go from 0 to 299"):
        build("unified", lead=[300])


@pytest.mark.parametrize(
    "options",
    [
        {"views": "tiles", "tile_tags": True},
        {"views": "tiles", "connector": "pixel_shuffle", "row_breaks": "newline"},
        {"encoder": "none", "views": "native", "row_breaks": "break"},
        {"encoder": "none", "views": "native", "image_positions": True, "lead": [3]},
    ],
)
def test_pictures_of_several_sizes_are_read_as_if_alone(
    build: Build, datamodule: MultimodalDataModule, options: dict[str, object]
) -> None:
    check_sizes(build("unified", **options), datamodule)


def test_any_resolution_with_three_positions(settings: Settings, datamodule: MultimodalDataModule) -> None:
    system = SystemSettings(
        encoder={
            "library": "native",
            "name": "qwen2-vl",
            "options": {"dim": 16, "depth": 1, "num_heads": 2, "patch_size": 12, "feed_forward_width": 16},
        },
        language_model={"mrope_sections": [4, 6, 6]},
        options={"views": "native", "connector": "merge"},
    )
    family = built(system, settings, datamodule)
    check_sizes(family, datamodule)
    sight = unified(family).see(pictures(), SIZES)
    assert sight.text_start is not None
    assert sight.text_start.tolist() == [3, 3, 3, 2], "after the larger side of each picture's tokens"


def test_no_image_token_and_no_masked_position_enters_the_vocabulary(
    build: Build, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = unified(build("unified"))
    projected: list[Tensor] = []
    original = family.decoder.logits

    def counted(hidden: Tensor) -> Tensor:
        projected.append(hidden)
        return original(hidden)

    monkeypatch.setattr(family.decoder, "logits", counted)
    family.loss(batch)
    assert [len(hidden) for hidden in projected] == [int((batch.labels != IGNORED).sum())]
    projected.clear()
    family.generate(family.see(batch.images[:2]), [[5, 6], [7]], 4)
    assert all(hidden.shape == (2, family.decoder.config.width) for hidden in projected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "none", "layers": [1]}, r"'layers' is \[1\], but there is no encoder.*encoder: shared"),
        ({"patch_size": 8}, "'patch_size' is 8, but the encoder's patches are as they are.*encoder: none"),
        ({"encoder": "none", "patch_size": 0}, "'patch_size' is 0"),
        ({"views": "native"}, "made for images of one size.*library: native"),
        ({"layers": [5]}, "has no layer 5"),
        ({"connector": "none"}, r"tokens of width 24, but \d+ is asked for.*connector: linear"),
        ({"tile_tags": True}, "'tile_tags' is True, but there are no tiles"),
        ({"views": "tiles", "thumbnail_factor": 5}, "multiple of 60"),
    ],
)
def test_what_does_not_go_together(build: Build, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build("unified", **options)


def test_sides_of_images(build: Build) -> None:
    steps = [build("unified", **o).size_step for o in ({}, {"views": "tiles"}, {"connector": "pixel_shuffle"})]
    assert steps == [12, 24, 24]


def unified(family: Family) -> Unified:
    """The family, which is a unified one."""
    assert isinstance(family, Unified)
    return family
