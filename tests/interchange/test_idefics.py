"""IDEFICS of transformers: with the resampler and without, with the gates open."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from mmbench.interchange.foreign import read_foreign
from mmbench.nn.cross_attention import GatedCrossAttention
from tests.interchange.agreement import (
    BOS,
    IMAGE,
    TEXT,
    TEXTS,
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

AROUND = 120
"""The first entry of the additional vocabulary, which follows the vocabulary."""
VISION = {
    "embed_dim": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
SIZES = {
    **{name: value for name, value in TEXT.items() if name != "num_key_value_heads"},
    "num_hidden_layers": 4,
    "pad_token_id": 0,
    "additional_vocab_size": 2,
    "cross_layer_interval": 2,
    "vision_config": VISION,
}
RESAMPLER = {
    "resampler_n_latents": 5,
    "resampler_depth": 2,
    "resampler_n_heads": 2,
    "resampler_head_dim": 8,
    "qk_layer_norms_perceiver": True,
}
MODELS: dict[str, dict[str, Any]] = {
    "resampler": {"use_resampler": True, "qk_layer_norms": True, "perceiver_config": RESAMPLER},
    "all patches": {
        "cross_layer_interval": 1,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "alpha_type": "vector",
        "vision_config": {**VISION, "hidden_act": "quick_gelu", "patch_size": 16},
    },
}


def idefics(**changed: Any) -> Any:
    """A small random model; its gates are open."""
    model = transformers.IdeficsForVisionText2Text(transformers.IdeficsConfig(**{**SIZES, **changed}))
    with torch.no_grad():
        for number, (name, parameter) in enumerate(model.named_parameters()):
            if "alpha" in name:
                parameter.fill_(0.5 + 0.1 * (number % 7))
    return model


def inputs(pixels: Tensor, size: Sequence[int], text: list[int]) -> dict[str, Any]:
    ids = torch.tensor([[BOS, AROUND, IMAGE, AROUND, *text]])
    looks = torch.ones(1, ids.shape[1], 1, dtype=torch.int64)
    looks[:, :2] = 0  # what stands before the image
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": pixels[None, None],
        "image_attention_mask": looks,
    }


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("idefics")
    return both(idefics(**MODELS[request.param]), folder, **{"<fake_token_around_image>": AROUND})


def difference(family: Any, theirs: Any) -> float:
    return largest_difference_of_logits(family, theirs, inputs, pictures(4, 32))


def test_logits_are_theirs(model: Both) -> None:
    assert difference(model.family, model.model) < 1e-4


def test_it_writes_what_they_write(model: Both) -> None:
    check_generation(model.family, model.model, inputs, pictures(4, 32))


def test_it_goes_back_as_it_came(model: Both) -> None:
    check_round_trip(model, difference)


def test_keys_and_values_are_computed_once(model: Both) -> None:
    family, computed = model.family, GatedCrossAttention.keys_values
    with patch.object(GatedCrossAttention, "keys_values", autospec=True, side_effect=computed) as counted:
        family.generate(family.see(pictures(4, 32)), TEXTS, 20)
    assert counted.call_count == len(family.cross_attention) == len(model.model.model.gated_cross_attn_layers)


def test_the_image_is_the_additional_vocabulary_where_no_tokenizer_names_it(model: Both) -> None:
    content = model.model.config.to_dict()
    assert read_foreign(content, {}).system.options["lead"] == [AROUND, AROUND + 1, AROUND]
    named = {"<fake_token_around_image>": 7, "<image>": 9}
    assert read_foreign(content, named).system.options["lead"] == [7, 9, 7]


def test_what_the_family_does_not_have_is_refused(model: Both, tmp_path: Path) -> None:
    source = changed_copy(model, tmp_path / "no tokens", {"additional_vocab_size": 0, "vocab_size": AROUND + 2})
    tokenizer = (source / "tokenizer.json").read_text()
    (source / "tokenizer.json").write_text(tokenizer.replace("<fake_token_around_image>", "<fake_token>"))
    assert "neither its tokenizer.json nor an additional vocabulary has <fake_token_around_image>" in refused(source)
    source = changed_copy(model, tmp_path / "activation", {"hidden_act": "gelu"})
    assert "hidden_act 'gelu', but only 'silu'" in refused(source)
    source = changed_copy(model, tmp_path / "interval", {"cross_layer_interval": 3})
    assert "cross_layer_interval is 3, which does not divide" in refused(source)


def test_tensors_that_do_not_fit_are_refused(model: Both, tmp_path: Path) -> None:
    name = "model.gated_cross_attn_layers.0.cross_attn.q_proj.weight"
    query = model.tensors[name]
    for changed, message in (
        ({name: None}, f"no tensor {name}"),
        ({name: query[:, 1:].contiguous()}, "'cross_attention.0.query.weight' has the shape"),
        ({"model.more.weight": query}, "have no place in the system, first 'model.more.weight'"),
    ):
        assert message in refused(changed_copy(model, tmp_path / message[:4], **changed))
