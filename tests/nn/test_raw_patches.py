"""Raw patches: the order of the numbers, and pictures of several sizes."""

import torch

from mmbench.nn.raw_patches import RawPatches


def test_patches_row_by_row_with_the_channels_of_a_pixel_together() -> None:
    images = torch.randn(2, 3, 4, 6)
    tokens = RawPatches(2)(images)
    assert tokens.shape == (2, 6, 12)
    for number, (top, left) in enumerate([(0, 0), (0, 2), (0, 4), (2, 0), (2, 2), (2, 4)]):
        patch = images[:, :, top : top + 2, left : left + 2]
        assert torch.equal(tokens[:, number], patch.permute(0, 2, 3, 1).flatten(1))


def test_pixels_are_scaled_to_plus_minus_one() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 2, 2)
    assert RawPatches(2)(RawPatches(2).normalise(images)).unique().tolist() == [-1, 1]


def test_packed_patches_are_those_that_a_picture_reaches() -> None:
    encoder, images = RawPatches(2), torch.randn(2, 3, 4, 6)
    packed = encoder.forward_packed(images, torch.tensor([[4, 6], [3, 2]]))
    assert packed.grids.tolist() == [[2, 3], [2, 1]]
    whole = encoder(images)
    assert torch.equal(packed.tokens, torch.cat([whole[0], whole[1, [0, 3]]]))


def test_there_is_nothing_to_train_and_one_layer() -> None:
    encoder, images = RawPatches(2), torch.randn(1, 3, 4, 4)
    assert list(encoder.parameters()) == []
    assert torch.equal(encoder.features(images, [-1])[0], encoder.final_norm(encoder(images)))
