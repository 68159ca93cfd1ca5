"""Llama 3.2 Vision of transformers: pictures of one tile and of several, with the gates open."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from mmbench.nn.cross_attention import GatedCrossAttention
from mmbench.nn.tiles import tile
from tests.interchange.agreement import (
    BOS,
    TEXT,
    TEXTS,
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

IMAGE = 120
"""The image's token follows the vocabulary: it is read and never predicted."""
TEXT_SIZES = {
    **TEXT,
    "num_hidden_layers": 5,
    "cross_attention_layers": [1, 3],
    "pad_token_id": 0,
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 5e5,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
}
VISION_SIZES = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_global_layers": 2,
    "attention_heads": 2,
    "image_size": 16,
    "patch_size": 4,
    "max_num_tiles": 4,
    "intermediate_layers_indices": [0, 2],
    "vision_output_dim": 72,
}
MODELS: dict[str, dict[str, Any]] = {
    "small": {},
    "other sizes": {
        "text": {"cross_attention_layers": [0, 2], "hidden_size": 48},
        "vision": {
            "image_size": 12,
            "max_num_tiles": 2,
            "supported_aspect_ratios": [[1, 1], [2, 1], [1, 2]],
            "intermediate_layers_indices": [1],
            "vision_output_dim": 48,
            "hidden_act": "quick_gelu",
        },
    },
}
SIZES = [(16, 16), (30, 28), (8, 32), (30, 12)]
"""One tile, or four, or several in a row or a column."""


def mllama(text: dict[str, Any] | None = None, vision: dict[str, Any] | None = None) -> Any:
    """A small random model; its gates are open."""
    config = transformers.MllamaConfig(
        text_config={**TEXT_SIZES, **(text or {})},
        vision_config={**VISION_SIZES, **(vision or {})},
        image_token_index=IMAGE,
    )
    model = transformers.MllamaForConditionalGeneration(config)
    with torch.no_grad():
        for number, (name, parameter) in enumerate(model.named_parameters()):
            if "gate" in name and parameter.numel() == 1:
                parameter.fill_(0.3 + 0.1 * (number % 5))
    return model


def inputs_for(model: Any) -> Any:
    """Theirs get the tiles that ours cuts, in the same grid."""
    config = model.config.vision_config

    def inputs(pixels: Tensor, size: Sequence[int], text: list[int]) -> dict[str, Any]:
        cut = tile(pixels[None], torch.tensor([list(size)]), config.image_size, config.max_num_tiles)
        num_tiles, grid = cut.mask.shape[1], cut.grids[0].tolist()
        tiles = torch.zeros(1, 1, config.max_num_tiles, 3, config.image_size, config.image_size)
        tiles[:, 0, :num_tiles] = cut.tiles
        is_tile = torch.zeros(1, 1, config.max_num_tiles, dtype=torch.int64)
        is_tile[..., :num_tiles] = 1
        ids = torch.tensor([[BOS, IMAGE, *text]])
        looks = is_tile.expand(ids.shape[1], 1, -1).clone()[None]
        looks[:, 0] = 0  # <bos> stands before the image
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "pixel_values": tiles,
            "aspect_ratio_ids": torch.tensor([[config.supported_aspect_ratios.index(grid) + 1]]),
            "aspect_ratio_mask": is_tile,
            "cross_attention_mask": looks,
        }

    return inputs


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return both(mllama(**MODELS[request.param]), tmp_path_factory.mktemp("mllama"), **{"<|image|>": IMAGE})


def difference(family: Any, theirs: Any) -> float:
    return largest_difference_of_logits(family, theirs, inputs_for(theirs), *sized_pictures(SIZES, 32))


def test_logits_are_theirs(model: Both) -> None:
    assert difference(model.family, model.model) < 1e-4


def test_it_writes_what_they_write(model: Both) -> None:
    check_generation(model.family, model.model, inputs_for(model.model), *sized_pictures(SIZES, 32))


def test_it_goes_back_as_it_came(model: Both) -> None:
    check_round_trip(model, difference)
    assert "layout: native" in (model.ours / "scale.yaml").read_text(), "tiles depend on a picture's own shape"


def test_keys_and_values_are_computed_once(model: Both) -> None:
    family, computed = model.family, GatedCrossAttention.keys_values
    with patch.object(GatedCrossAttention, "keys_values", autospec=True, side_effect=computed) as counted:
        family.generate(family.see(*sized_pictures(SIZES, 32)), TEXTS, 20)
    assert (
        counted.call_count == len(family.cross_attention) == len(model.model.config.text_config.cross_attention_layers)
    )


def test_what_the_family_does_not_have_is_refused(model: Both, tmp_path: Path) -> None:
    text, vision = (model.model.config.to_dict()[part] for part in ("text_config", "vision_config"))
    last = text["num_hidden_layers"] - 1
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"text_config": {**text, "cross_attention_layers": [last]}}, "behind each of them there must be one"),
        ({"text_config": {**text, "cross_attention_layers": [1, 2]}}, "behind each of them there must be one"),
        ({"text_config": {**text, "hidden_act": "gelu"}}, "hidden_act 'gelu', but only 'silu'"),
        ({"text_config": {**text, "tie_word_embeddings": True}}, "with tie_embeddings every entry is predicted"),
        ({"vision_config": {**vision, "supported_aspect_ratios": [[1, 1], [2, 1]]}}, "lacks 1 x 2"),
        ({"image_token_index": 500}, "image_token_index is 500"),
    ]
    for number, (content, message) in enumerate(refusals):
        assert message in refused(changed_copy(model, tmp_path / str(number), content))


def test_tensors_that_do_not_fit_are_refused(model: Both, tmp_path: Path) -> None:
    name = "multi_modal_projector.weight"
    projector = model.tensors[name]
    for changed, message in (
        ({name: None}, f"no tensor {name}"),
        ({name: projector[:, 1:].contiguous()}, "'connector.projection.weight' has the shape"),
        ({"multi_modal_projector.more": projector}, "have no place in the system, first 'multi_modal_projector.more'"),
    ):
        assert message in refused(changed_copy(model, tmp_path / message[:4], **changed))
