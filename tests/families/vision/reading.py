"""What every decoder that sees promises of pictures of several sizes."""

import torch

from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.family import Family
from mmbench.families.seeing_decoder import SeeingDecoder
from tests.families.vision.pictures import SIZES, pictures

PROMPTS = ("Caption:", "what colour is the circle?", "how many?", "is there a square?")


def check_sizes(family: Family, datamodule: MultimodalDataModule) -> None:
    """Batched generation over pictures of several sizes equals single, and what lies outside them is not seen."""
    assert isinstance(family, SeeingDecoder)
    prompts = [datamodule.tokenizer.encode(text) for text in PROMPTS]
    images = pictures()
    together = family.generate(family.see(images, SIZES), prompts, 8)
    alone = [family.generate(family.see(images[i : i + 1], SIZES[i : i + 1]), [prompts[i]], 8)[0] for i in range(4)]
    assert together == alone
    assert together == family.generate(family.see(images, SIZES), prompts, 8, cached=False)
    scores = family.log_likelihood(family.see(images, SIZES), prompts, [[5, 6]] * 4)
    images[1, :, 24:] = 77  # below the wide picture
    torch.testing.assert_close(family.log_likelihood(family.see(images, SIZES), prompts, [[5, 6]] * 4), scores)
    whole = family.log_likelihood(family.see(images), prompts, [[5, 6]] * 4)
    assert not torch.allclose(whole[1], scores[1])
