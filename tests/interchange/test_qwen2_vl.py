"""Qwen2-VL of transformers: pictures of several sizes at once, with positions in time, height and width."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.interchange.foreign import read_foreign
from tests.interchange.agreement import (
    BOS,
    IMAGE,
    TEXT,
    Both,
    both,
    check_generation,
    check_round_trip,
    largest_difference_of_logits,
    sized_pictures,
)

transformers = pytest.importorskip("transformers")

START, END = 6, 7
PATCH, MERGE, FRAMES = 4, 2, 2
SIZES = [(32, 16), (8, 24), (32, 32), (16, 24)]
MODELS: dict[str, dict[str, Any]] = {
    "small": {},
    "tied, other sizes": {
        "text": {"num_hidden_layers": 2, "tie_word_embeddings": True, "rms_norm_eps": 1e-6},
        "sections": [2, 1, 1],
        "vision": {"depth": 3, "embed_dim": 48, "num_heads": 3, "mlp_ratio": 3},
    },
}


def qwen2_vl(
    text: dict[str, Any] | None = None, vision: dict[str, Any] | None = None, sections: Sequence[int] = (1, 1, 2)
) -> Any:
    """A small random model."""
    rope = {"rope_type": "default", "rope_theta": 1e5, "mrope_section": list(sections)}
    tower = {"depth": 2, "embed_dim": 24, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": PATCH}
    config = transformers.Qwen2VLConfig(
        text_config={**TEXT, "rope_parameters": rope, **(text or {})},
        vision_config={**tower, "spatial_merge_size": MERGE, "temporal_patch_size": FRAMES, **(vision or {})},
        image_token_id=IMAGE,
        vision_start_token_id=START,
        vision_end_token_id=END,
        video_token_id=8,
        tie_word_embeddings=(text or {}).get("tie_word_embeddings", False),
    )
    return transformers.Qwen2VLForConditionalGeneration(config)


def inputs(pixels: Tensor, size: Sequence[int], text: list[int]) -> dict[str, Any]:
    """As the processor of transformers lays them out: neighbours that are merged stand next to one another."""
    rows, columns = size[0] // PATCH, size[1] // PATCH
    frames = pixels[None].expand(FRAMES, -1, -1, -1)
    patches = frames.reshape(FRAMES, 3, rows // MERGE, MERGE, PATCH, columns // MERGE, MERGE, PATCH)
    flat = patches.permute(2, 5, 3, 6, 1, 0, 4, 7).reshape(rows * columns, -1)
    ids = [BOS, START, *[IMAGE] * (rows * columns // MERGE**2), END, *text]
    return {
        "input_ids": torch.tensor([ids]),
        "pixel_values": flat,
        "image_grid_thw": torch.tensor([[1, rows, columns]]),
        "mm_token_type_ids": torch.tensor([[int(token == IMAGE) for token in ids]]),
    }


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    tokens = {"<|vision_start|>": START, "<|vision_end|>": END}
    return both(qwen2_vl(**MODELS[request.param]), tmp_path_factory.mktemp("qwen2_vl"), **tokens)


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


def test_older_files_have_the_texts_settings_outside_of_any_section(model: Both) -> None:
    content = json.loads((model.theirs / "config.json").read_text())
    text = content.pop("text_config")
    text.pop("model_type")
    rope = text.pop("rope_parameters")
    old = {"rope_theta": rope["rope_theta"], "rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]}}
    now = read_foreign(json.loads((model.theirs / "config.json").read_text()), {})
    assert read_foreign({**text, **old, **content}, {}) == now
