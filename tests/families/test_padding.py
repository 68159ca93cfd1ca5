"""A picture that does not fill its canvas is read whole, and what lies beside it by none."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.families.dual import Dual
from mmbench.nn.tiles import squashed
from tests.families.tiny import Build
from tests.families.vision.pictures import SIZES, pictures

SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "clip": ("dual", {}),
    "siglip": (
        "dual",
        {"objective": "sigmoid", "image_pool": "attention", "text_attention": "bidirectional", "project_image": False},
    ),
    "coattn": ("coattn", {}),
    "early-concat": ("fusion", {"placement": "early", "mechanism": "concat"}),
    "late-concat": ("fusion", {"placement": "late", "mechanism": "concat"}),
}
PROMPTS = [[5, 6, 7], [8], [9, 10], [11, 12, 13, 14]]
CHOICES = [[[5, 6], [7]], [[8], [9]], [[10], [11]], [[12], [13]]]


def said(family: Any, images: Tensor, sizes: Tensor | None) -> list[Tensor]:
    """All numbers that a family makes of images."""
    sight = family.see(images, sizes)
    found = [family.image_features(images, sizes), *family.choice_scores(sight, PROMPTS, _choices(family))]
    if "retrieve" in family.tasks:
        found += [family.match_scores(sight, PROMPTS), family.embed_images(images, sizes)]
    return found


def _choices(family: Any) -> list[list[list[int]]]:
    return [family.answers[:3]] * 4 if "answer" in family.tasks else CHOICES


@pytest.fixture(params=SYSTEMS)
def family(request: pytest.FixtureRequest, build: Build) -> Any:
    """Families that read pictures as squares."""
    name, options = SYSTEMS[request.param]
    return build(name, **options).eval()


def test_noise_beside_a_picture_changes_nothing(family: Any) -> None:
    images = pictures()
    noise = torch.randint(0, 256, images.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    noisy = torch.where(images > 0, images, noise)
    assert not torch.equal(noisy, images)
    for before, after in zip(said(family, images, SIZES), said(family, noisy, SIZES), strict=True):
        assert torch.equal(before, after)


def test_a_picture_is_stretched_to_the_canvas(family: Any) -> None:
    """And one that fills it is left as it is, to the bit."""
    images = pictures()
    stretched = squashed(family.encoder.normalise(images), SIZES, images.shape[-1])
    whole = torch.full_like(SIZES, images.shape[-1])
    for unsaid, filled in zip(said(family, images, None), said(family, images, whole), strict=True):
        assert torch.equal(unsaid, filled)
    torch.testing.assert_close(family.image_features(images, SIZES), family.encoder(stretched).mean(dim=1))
    if isinstance(family, Dual):
        seen = family.see(images, SIZES).vectors
        assert torch.equal(seen, family.embed_images(images, SIZES))
        assert not torch.allclose(seen, family.embed_images(images))
