"""Encoder tokens of views: which layers, which grids, and pictures of several sizes at once."""

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.config.model import EncoderSettings
from mmbench.families.vision.connecting import NoConnector
from mmbench.families.vision.look import Look, LookOptions, joined_dim, look, mean_tokens, prepared, token_grid
from mmbench.nn.connectors import build_connector
from mmbench.nn.encoders import build_encoder
from mmbench.nn.image_encoder import ImageEncoder
from tests.families.tiny import ENCODER
from tests.families.vision.pictures import SIZES, patches, pictures


@pytest.fixture
def encoder() -> ImageEncoder:
    """Four blocks of width 24, patches of 12 pixels."""
    torch.manual_seed(0)
    return build_encoder(ENCODER, 48).eval()


def test_without_layers_it_is_what_the_encoder_gives(encoder: ImageEncoder) -> None:
    (one,) = look(encoder, pictures(), None, LookOptions())
    assert torch.equal(one.tokens, encoder(encoder.normalise(pictures())))
    assert (one.grid, one.images) == ((4, 4), [0, 1, 2, 3])


def test_the_mean_is_over_the_tokens_of_an_images_own_views(encoder: ImageEncoder) -> None:
    shared = Look(torch.arange(24.0).reshape(3, 4, 2), (2, 2), [0, 0, 1], [0, 1, 0], torch.tensor([True, False, True]))
    by_hand = torch.stack([shared.tokens[0].mean(dim=0), shared.tokens[2].mean(dim=0)])
    assert torch.equal(mean_tokens([shared], 2), by_hand), "an empty tile counts for nothing"
    native = [Look(torch.ones(1, 3, 2), (1, 3), [1], [0]), Look(torch.full((1, 2, 2), 5.0), (1, 2), [0], [0])]
    assert mean_tokens(native, 2).tolist() == [[5.0, 5.0], [1.0, 1.0]]
    whole = look(encoder, pictures(), None, LookOptions())
    torch.testing.assert_close(mean_tokens(whole, 4), encoder(encoder.normalise(pictures())).mean(dim=1))


def test_layers_are_joined_and_those_behind_them_dropped(encoder: ImageEncoder) -> None:
    options = LookOptions(layers=[-2, 1])
    kept = prepared(encoder, options, 48)
    (one,) = look(kept, pictures(), None, options)
    by_hand = encoder.features(encoder.normalise(pictures()), [3, 1])
    torch.testing.assert_close(one.tokens, torch.cat(by_hand, dim=-1))
    assert joined_dim(kept, options) == 48 == one.tokens.shape[-1]
    fewer = sum(p.numel() for p in kept.parameters())
    assert fewer < sum(p.numel() for p in encoder.parameters()), "nothing reads the fourth block"
    one.tokens.sum().backward()
    assert all(p.grad is not None for p in kept.parameters())


def test_layers_with_the_last_one_normed(encoder: ImageEncoder) -> None:
    options = LookOptions(layers=[1, 3], with_last=True)
    assert prepared(encoder, options, 48) is encoder
    (one,) = look(encoder, pictures(), None, options)
    pixels = encoder.normalise(pictures())
    torch.testing.assert_close(one.tokens, torch.cat([encoder(pixels), *encoder.features(pixels, [1, 3])], dim=-1))


@pytest.mark.parametrize("name", ["raw", "pixtral", "qwen2-vl"])
def test_native_pictures_are_encoded_as_if_alone(name: str) -> None:
    torch.manual_seed(0)
    settings = EncoderSettings(
        "native", name, {"dim": 16, "depth": 2, "num_heads": 2, "patch_size": 12, "feed_forward_width": 16}, "random"
    )
    encoder = patches() if name == "raw" else build_encoder(settings, 48).eval()
    options = LookOptions(views="native")
    looks = look(encoder, pictures(), SIZES, options)
    found = {image: (one.tokens[place], one.grid) for one in looks for place, image in enumerate(one.images)}
    for image, (height, width) in enumerate(SIZES.tolist()):
        cut = encoder.normalise(pictures()[image : image + 1, :, :height, : max(width, 24)])
        if (height, width) == (48, 12) and name != "qwen2-vl":
            cut = cut[..., :12]
        tokens, grid = found[image]
        assert grid == (cut.shape[2] // 12, cut.shape[3] // 12)
        torch.testing.assert_close(tokens, encoder(cut)[0], atol=1e-5, rtol=1e-5)


def test_pictures_of_one_grid_go_through_together() -> None:
    looks = look(patches(), pictures()[[0, 1, 0]], SIZES[[0, 1, 0]], LookOptions(views="native"))
    assert [(one.grid, one.images) for one in looks] == [((4, 4), [0, 2]), ((2, 4), [1])]


def test_tiles_that_an_encoder_reads_together() -> None:
    torch.manual_seed(0)
    options = {"dim": 16, "depth": 2, "num_heads": 2, "patch_size": 12, "tile_size": 24, "feed_forward_width": 16}
    encoder = build_encoder(EncoderSettings("native", "mllama", options, "random"), 48).eval()
    views = LookOptions(views="tiles", max_tiles=4, thumbnail="none")
    (one,) = look(prepared(encoder, views, 48), pictures(), SIZES, views)
    assert one.images == [0] * 4 + [1] * 2 + [2] * 4 + [3]
    assert one.tokens.shape == (11, 5, encoder.dim), "a class token and four patches of each tile"
    (alone,) = look(encoder, pictures()[1:2], SIZES[1:2], views)
    torch.testing.assert_close(one.tokens[4:6], alone.tokens, atol=1e-5, rtol=1e-5)
    for wrong, message in (
        (LookOptions(views="tiles", max_tiles=4), "'thumbnail' is 'last', but the encoder reads all tiles"),
        (LookOptions(views="tiles", thumbnail="none"), "'max_tiles' is 6, but the encoder reads up to 4"),
        (LookOptions(views="tiles", thumbnail="none", max_tiles=4, tile_overlap=1), "'tile_overlap' is 1"),
    ):
        with pytest.raises(UserError, match=message):
            prepared(encoder, wrong, 48)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (LookOptions(layers=[5]), r"'layers' is \[5\], but the encoder has no layer 5: it has 4 blocks"),
        (LookOptions(layers=[0]), r"'layers' is \[0\], but 0 blocks"),
        (LookOptions(with_last=True), "'with_last' is True, but no layers are joined to it"),
        (LookOptions(views="native"), "made for images of one size.*library: native"),
    ],
)
def test_what_cannot_be_looked_at(encoder: ImageEncoder, options: LookOptions, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepared(encoder, options, 48)


def test_of_native_views_one_layer_is_read() -> None:
    with pytest.raises(UserError, match="of native views one layer is read"):
        prepared(patches(), LookOptions(views="native", layers=[0, 1]), 48)


@pytest.mark.parametrize(
    ("kind", "options", "grid"),
    [
        ("mlp", {}, (4, 8)),
        ("pixel_shuffle", {}, (2, 4)),
        ("attention_pool", {"num_heads": 2}, (2, 4)),
        ("perceiver", {"num_latents": 8, "depth": 1, "num_heads": 2}, None),
        ("perceiver", {"num_latents": 64, "depth": 1, "num_heads": 2}, None),
        ("query", {"num_queries": 8, "num_heads": 2}, None),
        ("c_abstractor", {"num_tokens": 4, "depth": 1}, None),
    ],
)
def test_grid_of_a_connectors_tokens(kind: str, options: dict[str, int], grid: tuple[int, int] | None) -> None:
    """Tokens of 4 x 8 patches are a raster only where more patches would be more tokens."""
    connector = build_connector(kind, 16, 16, (4, 8), options)
    assert token_grid(connector, (4, 8)) == grid
    assert token_grid(NoConnector(NoConnector.Config(), 16, 16), (4, 8)) == (4, 8)
