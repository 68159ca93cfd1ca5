"""Pixtral of transformers: pictures of several sizes at once, with breaks that are words of the vocabulary."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.interchange.agreement import (
    BOS,
    IMAGE,
    TEXT,
    VISION,
    Both,
    both,
    changed_copy,
    check_generation,
    check_round_trip,
    largest_difference_of_logits,
    refused,
    sized_pictures,
)

transformers = pytest.importorskip("transformers")

BREAK, END = 12, 13
SIZES = [(32, 16), (8, 24), (32, 32), (16, 24)]
MODELS: dict[str, dict[str, Any]] = {
    "small": {},
    "other sizes": {
        "text": {"num_hidden_layers": 2, "head_dim": 12, "sliding_window": None, "rope_theta": 1e9},
        "vision": {"hidden_size": 48, "num_attention_heads": 4, "head_dim": 12, "hidden_act": "silu"},
    },
}


def pixtral(text: dict[str, Any] | None = None, vision: dict[str, Any] | None = None) -> Any:
    """A small random model."""
    config = transformers.LlavaConfig(
        text_config={"model_type": "mistral", **TEXT, "head_dim": 8, **(text or {})},
        vision_config={"model_type": "pixtral", **VISION, "head_dim": 12, **(vision or {})},
        image_token_index=IMAGE,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    return transformers.LlavaForConditionalGeneration(config)


def inputs(pixels: Tensor, size: Sequence[int], text: list[int]) -> dict[str, Any]:
    row = [*[IMAGE] * (size[1] // 8), BREAK]
    image = [*(row * (size[0] // 8))[:-1], END]
    return {
        "input_ids": torch.tensor([[BOS, *image, *text]]),
        "pixel_values": pixels[None],
        "image_sizes": torch.tensor([size]),
    }


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("pixtral")
    return both(pixtral(**MODELS[request.param]), folder, **{"[IMG_BREAK]": BREAK, "[IMG_END]": END})


def difference(family: Any, theirs: Any) -> float:
    return largest_difference_of_logits(family, theirs, inputs, *sized_pictures(SIZES, 32))


def test_logits_are_theirs(model: Both) -> None:
    assert difference(model.family, model.model) < 1e-4


def test_it_writes_what_they_write(model: Both) -> None:
    check_generation(model.family, model.model, inputs, *sized_pictures(SIZES[:3], 32))


def test_it_goes_back_as_it_came(model: Both) -> None:
    check_round_trip(model, difference)
    scale = (model.ours / "scale.yaml").read_text()
    assert "layout: native" in scale and "size_multiple: 8" in scale


def test_a_tokenizer_without_breaks_is_refused(model: Both, tmp_path: Path) -> None:
    source = changed_copy(model, tmp_path / "source")
    tokenizer = (source / "tokenizer.json").read_text()
    (source / "tokenizer.json").write_text(tokenizer.replace("[IMG_END]", "[IMG_STOP]"))
    assert "no special token [IMG_END]" in refused(source)
