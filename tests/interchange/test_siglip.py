"""SigLIP of transformers, as a dual encoder."""

from typing import Any

import pytest
import torch

from tests.interchange.agreement import (
    EOS,
    VISION,
    Both,
    both,
    changed_copy,
    check_round_trip,
    largest_difference_of_dual,
    pictures,
    refused,
)

transformers = pytest.importorskip("transformers")

LONGEST = 10
PAD = 7
"""Not the tokenizer's, which has none and would put the end in its place."""
TEXTS = [[15, 9, 30], [8], [12, 3, 44, 20, 21, 8, 40, 41], [40, 41]]
MODELS: dict[str, dict[str, Any]] = {
    "small": {},
    "other sizes": {
        "text": {"num_hidden_layers": 3, "hidden_size": 32, "projection_size": 48},
        "vision": {"patch_size": 16, "hidden_size": 48, "num_attention_heads": 3, "num_hidden_layers": 2},
    },
    "pixels that fill no patch": {"vision": {"image_size": 38}},
}


def siglip(text: dict[str, Any] | None = None, vision: dict[str, Any] | None = None) -> Any:
    """A small random model."""
    sizes = {"vocab_size": 120, "hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "max_position_embeddings": LONGEST, "pad_token_id": PAD}
    config = transformers.SiglipConfig(
        text_config={**sizes, **(text or {})}, vision_config={**VISION, **(vision or {})}
    )
    return transformers.SiglipModel(config)


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return both(siglip(**MODELS[request.param]), tmp_path_factory.mktemp("siglip"))


def difference(family: Any, theirs: Any) -> float:
    ids = torch.tensor([[*text, EOS, *[PAD] * (LONGEST - 1 - len(text))] for text in TEXTS])
    rest = theirs.config.vision_config.image_size - 32
    return largest_difference_of_dual(family, theirs, ids, pictures(3, 32), TEXTS, rest)


def test_embeddings_and_logits_are_theirs(model: Both) -> None:
    assert difference(model.family, model.model) < 1e-4


def test_it_goes_back_as_it_came(model: Both) -> None:
    check_round_trip(model, difference)


def test_what_the_family_cannot_be_is_refused(model: Both, tmp_path: Any) -> None:
    vision = {**VISION, "vision_use_head": False}
    assert "no embedding of an image" in refused(changed_copy(model, tmp_path / "source", {"vision_config": vision}))
