"""Aria of transformers, with as many queries as the picture's patches ask for."""

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
    pictures,
    refused,
)

transformers = pytest.importorskip("transformers")

QUERIES = {4: 2, 16: 4}
"""Patches -> queries."""
MODELS: dict[str, dict[str, Any]] = {
    "small": {"moe_num_experts": 4, "moe_topk": 2, "moe_num_shared_experts": 2},
    "other experts": {"moe_num_experts": 3, "moe_topk": 1, "moe_num_shared_experts": 1, "num_hidden_layers": 2},
}


def aria(**text: Any) -> Any:
    """A small random model."""
    config = transformers.AriaConfig(
        text_config={**TEXT, **text, "pad_token_id": 2},
        vision_config={"model_type": "idefics3_vision", **VISION},
        projector_patch_to_query_dict=QUERIES,
        image_token_index=IMAGE,
    )
    return transformers.AriaForConditionalGeneration(config)


def inputs(pixels: Tensor, size: Sequence[int], text: list[int]) -> dict[str, Any]:
    queries = QUERIES[(size[0] // 8) * (size[1] // 8)]
    return {
        "input_ids": torch.tensor([[BOS, *[IMAGE] * queries, *text]]),
        "pixel_values": pixels[None],
        "pixel_mask": torch.ones(1, *size, dtype=torch.bool),
    }


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return both(aria(**MODELS[request.param]), tmp_path_factory.mktemp("aria"))


def difference(family: Any, theirs: Any) -> float:
    """Of both numbers of patches that there are queries for."""
    return max(largest_difference_of_logits(family, theirs, inputs, pictures(4, side)) for side in (32, 16))


def test_logits_are_theirs(model: Both) -> None:
    assert difference(model.family, model.model) < 1e-4


def test_it_writes_what_they_write(model: Both) -> None:
    check_generation(model.family, model.model, inputs, pictures(3, 32))


def test_it_goes_back_as_it_came(model: Both) -> None:
    check_round_trip(model, difference)


def test_queries_for_no_square_are_refused(model: Both, tmp_path: Path) -> None:
    content = {"projector_patch_to_query_dict": {"5": 4}}
    assert "has 5 patches, but none of it is a square" in refused(changed_copy(model, tmp_path / "source", content))
