"""LLaVA of transformers, with the towers of CLIP and SigLIP."""

from collections.abc import Sequence
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
    check_generation,
    check_round_trip,
    largest_difference_of_logits,
    pictures,
)

transformers = pytest.importorskip("transformers")

LARGER = {"num_hidden_layers": 2, "hidden_size": 48, "num_attention_heads": 3, "num_key_value_heads": 1}
MODELS: dict[str, dict[str, Any]] = {
    "llama": {},
    "layers joined, no bias": {
        "vision_feature_layer": [-2, -1],
        "multimodal_projector_bias": False,
        "text": {**LARGER, "num_key_value_heads": 3, "rms_norm_eps": 1e-5, "rope_theta": 500.0},
        "vision": {"image_size": 48, "hidden_act": "gelu"},
    },
    "qwen2, tied, siglip": {
        "vision_feature_select_strategy": "full",
        "tie_word_embeddings": True,
        "text": {**LARGER, "model_type": "qwen2", "tie_word_embeddings": True},
        "vision": {"model_type": "siglip_vision_model", "vision_use_head": False},
    },
}


def llava(text: dict[str, Any] | None = None, vision: dict[str, Any] | None = None, **more: Any) -> Any:
    """A small random model."""
    sizes = {"model_type": "llama", **TEXT, **(text or {})}
    tower = {"model_type": "clip_vision_model", **VISION, **(vision or {})}
    config = transformers.LlavaConfig(text_config=sizes, vision_config=tower, image_token_index=IMAGE, **more)
    return transformers.LlavaForConditionalGeneration(config)


def inputs(pixels: Tensor, size: Sequence[int], text: list[int]) -> dict[str, Any]:
    patches = (size[0] // 8) * (size[1] // 8)
    return {"input_ids": torch.tensor([[BOS, *[IMAGE] * patches, *text]]), "pixel_values": pixels[None]}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return both(llava(**MODELS[request.param]), tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return both(llava(), tmp_path_factory.mktemp("plain"))


def difference(family: Any, theirs: Any) -> float:
    images = pictures(4, theirs.config.vision_config.image_size)
    return largest_difference_of_logits(family, theirs, inputs, images)


def test_logits_are_theirs(model: Both) -> None:
    assert difference(model.family, model.model) < 1e-4


def test_it_writes_what_they_write(model: Both) -> None:
    check_generation(model.family, model.model, inputs, pictures(3, model.model.config.vision_config.image_size))


def test_it_goes_back_as_it_came(model: Both) -> None:
    check_round_trip(model, difference)
