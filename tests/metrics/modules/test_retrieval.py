"""Recall over batches: their order and make-up change nothing, and the 5 x 1K protocol goes by name."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.metrics import CrossModalRecall, coco_5x1k, cross_modal_recall


@pytest.mark.filterwarnings("ignore:ties decide", "ignore:.*candidates")
@settings(deadline=None, max_examples=50)
@given(st.data())
def test_batches_and_repeats_change_nothing(data: st.DataObject) -> None:
    """Images and captions in any order and any batches, a caption often before its image, some of them twice."""
    num_images, num_captions = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 12))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    # Whole numbers, so that products are exact and many are equal.
    images, texts = (torch.tensor(rng.integers(-2, 3, (num, 3))).float() for num in (num_images, num_captions))
    owner = torch.tensor(rng.integers(0, num_images, num_captions))
    metric = CrossModalRecall((1, 3))
    for _ in range(2):  # the second time, a sampler's padding
        image_parts = np.array_split(rng.permutation(num_images), 3)
        caption_parts = np.array_split(rng.permutation(num_captions), 3)
        for mine, theirs in zip(map(torch.from_numpy, image_parts), map(torch.from_numpy, caption_parts), strict=True):
            metric.update(10 + mine, images[mine], theirs, texts[theirs], 10 + owner[theirs])
    whole = cross_modal_recall(images, texts, owner)
    assert metric.compute() == whole.summary((1, 3))
    for found, expected in zip(
        metric.scores().per_query((1, 3)).values(), whole.per_query((1, 3)).values(), strict=True
    ):
        assert (found[0] == expected[0]).all()
        assert (found[1] == expected[1]).all()


def test_coco_5x1k_by_name() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(5000, 8, generator=generator)
    owner = torch.arange(10_000) // 2
    texts = images[owner] + torch.randn(10_000, 8, generator=generator)
    metric = CrossModalRecall(protocol="coco_5x1k")
    for ids in torch.randperm(5000, generator=generator).split(1500):
        captions = torch.cat([2 * ids, 2 * ids + 1])
        metric.update(ids, images[ids], captions, texts[captions], owner[captions])
    found, expected = metric.compute(), coco_5x1k(images, texts, owner).summary()
    assert found == pytest.approx(expected, abs=1e-12)
    assert all(name.startswith("coco_5x1k/") for name in found)
    assert metric.scores().num_images == 5000


def test_protocol_needs_its_images_and_a_known_name() -> None:
    with pytest.raises(ValueError, match="\"coco_5x1k\", or None for one gallery, not '5k'"):
        CrossModalRecall(protocol="5k")  # type: ignore[arg-type]
    metric = CrossModalRecall(protocol="coco_5x1k")
    metric.update([1], torch.ones(1, 2), [1], torch.ones(1, 2), [1])
    with pytest.raises(ValueError, match="needs 5000 images, not 1"):
        metric.compute()
