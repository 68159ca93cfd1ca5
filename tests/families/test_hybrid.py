"""The hybrid's two ways for an image: few tokens in the context, all of them through the gates."""

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.config.model import EncoderSettings
from mmbench.data.batch import Batch
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.family import SharedParts
from mmbench.families.hybrid import Hybrid
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import build_encoder
from tests.families.tiny import Build
from tests.families.vision.pictures import SIZES, pictures
from tests.families.vision.reading import check_sizes


@pytest.mark.parametrize(("factor", "num_tokens"), [(2, 4), (4, 1)])
def test_thumbnail_tokens(build: Build, datamodule: MultimodalDataModule, factor: int, num_tokens: int) -> None:
    family = build("hybrid", thumbnail_factor=factor)
    sight = family.see(datamodule.split("test").images(range(2)))
    assert sight.prefix is not None
    assert sight.prefix.shape == (2, num_tokens, family.decoder.config.width)
    assert sight.contexts is not None
    keys, values = sight.contexts[0]
    assert keys.shape == values.shape
    assert keys.shape[2] == 16, "all tokens of the image as it is"


def test_thumbnail_shows_the_whole_image(build: Build) -> None:
    family = build("hybrid", thumbnail_factor=4)
    images = torch.zeros(2, 3, 48, 48, dtype=torch.uint8)
    images[1, :, 44:, 44:] = 255  # the last corner, which a cut-out would miss
    prefix = family.see(images).prefix
    assert prefix is not None
    assert not torch.allclose(prefix[0], prefix[1], atol=1e-4)


def test_tiles_come_in_by_the_gates_and_the_thumbnail_by_the_context(build: Build) -> None:
    family = build("hybrid", views="tiles", tile_tags=True, thumbnail="first")
    sight = family.see(pictures(), SIZES)
    keys, _ = sight.contexts[0]
    assert keys.shape[2] == 16, "four tiles of four patches at most"
    assert sight.context_mask.sum(1).tolist() == [16, 8, 16, 4]
    assert sight.prefix_mask.sum(1).tolist() == [5 + 4, 5 + 2, 5 + 4, 5 + 1], (
        "the thumbnail's tag and tokens, then tags"
    )
    assert sight.prefix_reach.sum(2)[0].tolist() == [0] * 5 + [4] * 4, "each tag reaches its tile's patches"
    last = build("hybrid", views="tiles", tile_tags=True).see(pictures(), SIZES)
    assert last.prefix_reach.sum(2)[0].tolist() == [4] * 4 + [0] * 5


def test_pictures_of_several_sizes_are_read_as_if_alone(build: Build, datamodule: MultimodalDataModule) -> None:
    for options in ({}, {"views": "tiles", "tile_tags": True}, {"views": "tiles", "connector": "pixel_shuffle"}):
        check_sizes(build("hybrid", open_gates=True, **options), datamodule)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thumbnail_factor": 3}, "'thumbnail_factor' is 3.*make image_size a multiple of 36"),
        ({"thumbnail_factor": 1}, "'thumbnail_factor' is 1; a thumbnail is smaller"),
        ({"views": "tiles", "thumbnail": "none"}, "'thumbnail' is 'none', but in a hybrid.*family: crossattn"),
        ({"views": "native"}, "'views' is 'native', but a hybrid system has a thumbnail"),
        ({"connector": "pixel_shuffle", "thumbnail_factor": 4}, "joins 2 x 2 patches, but an image has 1 x 1"),
    ],
)
def test_what_does_not_go_together(build: Build, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build("hybrid", **options)


def test_an_encoder_that_reads_all_tiles_together_has_no_thumbnail() -> None:
    sizes = {"tile_size": 24, "dim": 24, "num_heads": 2, "patch_size": 12, "feed_forward_width": 32}
    encoder = build_encoder(EncoderSettings("native", "mllama", sizes, "random"), 48)
    decoder = Decoder(Decoder.Config(8, width=12, depth=1, num_heads=1, num_kv_heads=1))
    shared = SharedParts(encoder, decoder, 0, 1, image_size=48)
    with pytest.raises(UserError, match="reads all tiles of an image together: give family: crossattn"):
        Hybrid(Hybrid.Config(), shared, {})


def test_closed_gates_leave_the_thumbnail(build: Build, batch: Batch) -> None:
    family = build("hybrid")
    sight = family.see(batch.images)
    with_gates = family.read(batch, sight)
    sight.contexts = None
    assert torch.equal(with_gates, family.read(batch, sight))
