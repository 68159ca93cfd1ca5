"""Systems put together here of LLaVA's parts, written as llava and read by transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.config.model import EncoderSettings, LoraSettings, SystemSettings
from mmbench.families.family import Family, SharedParts
from mmbench.families.registry import build_family
from mmbench.interchange.composed import export_as_llava
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import build_encoder
from tests.interchange.agreement import BOS, EOS, IMAGE, both, largest_difference_of_logits, pictures, scrambled
from tests.interchange.test_llava import inputs

transformers = pytest.importorskip("transformers")

TOWER = {"patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2}
LLAVA = {"layers": [-2], "connector": "linear"}
NO_CLASS = {"class_token": False, "global_pool": "avg"}


def composed(tower: dict[str, Any] | None = None, lora: int = 0, **options: Any) -> Family:
    """A system as the comparison builds it, its weights so large that every part matters."""
    torch.manual_seed(0)
    name, sizes = "vit_base_patch16_clip_224", {**TOWER, **(tower or {})}
    encoder = build_encoder(EncoderSettings(name=name, options=sizes, weights="random"), 32)
    decoder = Decoder(Decoder.Config(vocab_size=120, width=32, depth=2, num_heads=4, num_kv_heads=2))
    parts = SharedParts(encoder, decoder, BOS, EOS, image_size=32)
    return scrambled(build_family(SystemSettings(options=options, lora=LoraSettings(rank=lora)), parts, {}))


@pytest.mark.parametrize(
    "options",
    [
        LLAVA,
        {**LLAVA, "connector_options": {"bias": False}},
        {"layers": [-2, 1], "connector": "mlp", "connector_options": {"activation": "gelu_tanh"}},
    ],
)
def test_transformers_reads_what_is_written(options: dict[str, Any], tmp_path: Path) -> None:
    family = composed(**options)
    export_as_llava(family, tmp_path / "written", IMAGE)
    model = transformers.LlavaForConditionalGeneration.from_pretrained(tmp_path / "written").eval()
    assert largest_difference_of_logits(family, model, inputs, pictures(4, 32)) < 1e-4
    if options["connector"] == "linear":
        assert model.config.projector_hidden_act == "linear"
        assert torch.equal(model.model.multi_modal_projector.linear_2.weight, torch.eye(32))


def test_one_layer_written_as_two_computes_the_same_when_it_is_imported(tmp_path: Path) -> None:
    family = composed(**LLAVA)
    export_as_llava(family, tmp_path / "written", IMAGE)
    model = transformers.LlavaForConditionalGeneration.from_pretrained(tmp_path / "written")
    again = both(model, tmp_path / "again")
    assert largest_difference_of_logits(again.family, again.model, inputs, pictures(4, 32)) < 1e-4


def test_adapters_are_added_to_what_they_adapt(tmp_path: Path) -> None:
    family, without = composed(lora=2, **LLAVA), composed(**LLAVA)
    images = pictures(4, 32)
    export_as_llava(without, tmp_path / "without", IMAGE)
    plain = transformers.LlavaForConditionalGeneration.from_pretrained(tmp_path / "without").eval()
    assert largest_difference_of_logits(family, plain, inputs, images) > 0.05
    export_as_llava(family, tmp_path / "written", IMAGE)
    model = transformers.LlavaForConditionalGeneration.from_pretrained(tmp_path / "written").eval()
    assert largest_difference_of_logits(family, model, inputs, images) < 1e-4


@pytest.mark.parametrize(
    ("changed", "token", "message"),
    [
        ({}, None, "has no token '<image>'"),
        ({"layers": []}, IMAGE, "reads the encoder's last norm"),
        ({"row_breaks": "newline"}, IMAGE, "has the option row_breaks: newline"),
        ({"connector": "pixel_shuffle"}, IMAGE, "its connector is 'pixel_shuffle'"),
        ({"connector": "mlp", "connector_width": 7}, IMAGE, "'hidden_width' is 7"),
        (
            {"tower": NO_CLASS},
            IMAGE,
            "built otherwise than CLIP's tower, which shows in 'model.cls_token'",
        ),
    ],
)
def test_what_llava_cannot_say_is_refused(
    changed: dict[str, Any], token: int | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        export_as_llava(composed(**{**LLAVA, **changed}), tmp_path / "written", token)
    assert not list(tmp_path.iterdir())
