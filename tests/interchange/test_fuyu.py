"""Fuyu of transformers: pixels of pictures of several sizes, a newline after each row of patches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.interchange.importing import import_checkpoint
from tests.interchange.agreement import (
    BOS,
    IMAGE,
    TEXT,
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

NEWLINE = 12
SIZES = [(32, 16), (8, 24), (32, 32), (16, 24)]
TEXT_SIZES = {name: value for name, value in TEXT.items() if name != "num_key_value_heads"}
MODELS: dict[str, dict[str, Any]] = {
    "small": {},
    "other sizes": {
        "patch_size": 4,
        "text": {
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "qk_layernorm": False,
            "partial_rotary_factor": 0.25,
        },
    },
}


def fuyu(patch_size: int = 8, text: dict[str, Any] | None = None) -> Any:
    """A small random model."""
    config = transformers.FuyuConfig(
        image_size=32,
        patch_size=patch_size,
        image_token_id=IMAGE,
        text_config={"model_type": "persimmon", **TEXT_SIZES, **(text or {})},
    )
    return transformers.FuyuForCausalLM(config)


def inputs_for(model: Any) -> Any:
    """Theirs get the patches that their own preprocessing makes of the normalised pixels."""
    side = model.config.patch_size
    processor = transformers.FuyuImageProcessor(patch_size={"height": side, "width": side})

    def inputs(pixels: Tensor, size: Sequence[int], text: list[int]) -> dict[str, Any]:
        rows, columns = size[0] // side, size[1] // side
        return {
            "input_ids": torch.tensor([[BOS, *([IMAGE] * columns + [NEWLINE]) * rows, *text]]),
            "pixel_values": processor.patchify_image(pixels[None]),
        }

    return inputs


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return both(fuyu(**MODELS[request.param]), tmp_path_factory.mktemp("fuyu"), **{"|NEWLINE|": NEWLINE})


def difference(family: Any, theirs: Any) -> float:
    return largest_difference_of_logits(family, theirs, inputs_for(theirs), *sized_pictures(SIZES, 32))


def test_logits_are_theirs(model: Both) -> None:
    assert difference(model.family, model.model) < 1e-4


def test_it_writes_what_they_write(model: Both) -> None:
    check_generation(model.family, model.model, inputs_for(model.model), *sized_pictures(SIZES, 32))


def test_it_goes_back_as_it_came(model: Both) -> None:
    check_round_trip(model, difference)
    scale = (model.ours / "scale.yaml").read_text()
    assert "layout: native" in scale and f"size_multiple: {model.model.config.patch_size}" in scale


def test_one_number_normalises_all_channels(model: Both, tmp_path: Path) -> None:
    source = changed_copy(model, tmp_path / "theirs")
    transformers.FuyuImageProcessor(image_std=0.5).save_pretrained(source)
    import_checkpoint(source, tmp_path / "ours")
    source = changed_copy(model, tmp_path / "other")
    transformers.FuyuImageProcessor(image_std=0.25).save_pretrained(source)
    assert "image_std 0.25, but the encoder gets pixels with image_std [0.5, 0.5, 0.5]" in refused(source)


def test_what_the_family_does_not_have_is_refused(model: Both, tmp_path: Path) -> None:
    source = changed_copy(model, tmp_path / "newline")
    tokenizer = (source / "tokenizer.json").read_text()
    (source / "tokenizer.json").write_text(tokenizer.replace("|NEWLINE|", "|BREAK|"))
    assert "no special token |NEWLINE|" in refused(source)
    assert "num_channels is 1" in refused(changed_copy(model, tmp_path / "grey", {"num_channels": 1}))


def test_tensors_that_do_not_fit_are_refused(model: Both, tmp_path: Path) -> None:
    name = "vision_embed_tokens.weight"
    weight = model.tensors[name]
    for changed, message in (
        ({name: None}, f"no tensor {name}"),
        ({name: weight[:, 1:].contiguous()}, "'connector.projection.weight' has the shape"),
        ({"vision_embed_tokens.more": weight}, "have no place in the system, first 'vision_embed_tokens.more'"),
    ):
        assert message in refused(changed_copy(model, tmp_path / message[:4], **changed))
