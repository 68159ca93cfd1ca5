"""The hybrid's two ways for an image: few tokens in the context, all of them through the gates."""

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.data.batch import Batch
from mmbench.data.datamodule import MultimodalDataModule
from tests.families.tiny import Build


@pytest.mark.parametrize(("factor", "num_tokens"), [(2, 4), (4, 1)])
def test_thumbnail_tokens(build: Build, datamodule: MultimodalDataModule, factor: int, num_tokens: int) -> None:
    family = build("hybrid", thumbnail_factor=factor)
    sight = family.see(datamodule.split("test").images(range(2)))
    assert sight.prefix is not None
    assert sight.prefix.shape == (2, num_tokens, 32)
    assert sight.contexts is not None
    keys, values = sight.contexts[0]
    assert keys.shape == values.shape == (2, 2, 16, 8), "two key heads of 8, all 16 tokens of the image as it is"


def test_thumbnail_shows_the_whole_image(build: Build) -> None:
    family = build("hybrid", thumbnail_factor=4)
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    images[1, :, 28:, 28:] = 255  # the last corner, which a cut-out would miss
    prefix = family.see(images).prefix
    assert prefix is not None
    assert not torch.allclose(prefix[0], prefix[1], atol=1e-4)


def test_thumbnail_that_does_not_divide_into_patches(build: Build, batch: Batch) -> None:
    family = build("hybrid", thumbnail_factor=3)
    with pytest.raises(UserError, match=r"'thumbnail_factor' is 3.*make image_size a multiple of 24"):
        family.see(batch.images)


def test_closed_gates_leave_the_thumbnail(build: Build, batch: Batch) -> None:
    family = build("hybrid")
    sight = family.see(batch.images)
    with_gates = family.read(batch, sight)
    sight.contexts = None
    assert torch.equal(with_gates, family.read(batch, sight))
