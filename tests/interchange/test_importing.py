"""Reading a folder whole or not at all: files of all versions, defaults that they leave out, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mmbench.config.errors import UserError
from mmbench.config.load import load_settings
from mmbench.config.system import own_settings
from mmbench.interchange.exporting import export_checkpoint
from mmbench.interchange.foreign import read_foreign
from mmbench.interchange.importing import import_checkpoint, read_folder
from mmbench.nn.checkpoint_files import read_tensors
from tests.interchange.agreement import (
    Both,
    both,
    changed_copy,
    largest_difference_of_logits,
    open_imported,
    pictures,
    refused,
    write_tokenizer,
)
from tests.interchange.test_llava import inputs, llava

transformers = pytest.importorskip("transformers")

HEAD, QUERY = "language_model.lm_head.weight", "language_model.model.layers.1.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return both(llava(), tmp_path_factory.mktemp("model"))


def differs(family: Any, theirs: Any) -> float:
    return largest_difference_of_logits(family, theirs, inputs, pictures(2, 32))


def renamed(model: Both, target: Path, changes: dict[str, str]) -> Path:
    """The folder again with other beginnings of names."""

    def name_of(name: str) -> str:
        return next((new + name.removeprefix(old) for old, new in changes.items() if name.startswith(old)), name)

    old: dict[str, Any] = dict.fromkeys(model.tensors)
    return changed_copy(model, target, None, **old | {name_of(name): each for name, each in model.tensors.items()})


@pytest.mark.parametrize(
    "changes",
    [
        {"vision_tower.": "vision_tower.vision_model."},
        {
            HEAD: "lm_head.weight",
            "language_model.model.": "model.language_model.",
            "vision_tower.": "model.vision_tower.",
            "multi_modal_projector.": "model.multi_modal_projector.",
        },
    ],
    ids=["published", "in memory"],
)
def test_names_of_other_versions(model: Both, changes: dict[str, str], tmp_path: Path) -> None:
    source = renamed(model, tmp_path / "source", changes)
    assert read_tensors(source).keys() != model.tensors.keys()
    import_checkpoint(source, tmp_path / "ours")
    ours, expected = load_file(tmp_path / "ours" / "system.safetensors"), model.family.state_dict()
    assert ours.keys() == {name for name in expected if not name.startswith("heads.")}, "no checkpoint has these"
    assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.items())


def test_shards_of_bfloat16_and_weights_trained_further(model: Both, tmp_path: Path) -> None:
    theirs = transformers.LlavaForConditionalGeneration.from_pretrained(model.theirs, dtype=torch.bfloat16)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    assert len(list((tmp_path / "theirs").glob("model-*.safetensors"))) > 2
    import_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    family = open_imported(tmp_path / "ours")
    assert family.decoder.embedding.weight.dtype == torch.float32
    assert differs(family, theirs.float()) < 1e-4

    export_checkpoint(tmp_path / "ours", tmp_path / "back")
    assert {tensor.dtype for tensor in read_tensors(tmp_path / "back").values()} == {torch.bfloat16}
    with torch.no_grad():
        family.decoder.norm.weight += 2**-20  # more precise than bfloat16 can be
    export_checkpoint(tmp_path / "ours", tmp_path / "tuned", family.state_dict())
    tuned = transformers.LlavaForConditionalGeneration.from_pretrained(tmp_path / "tuned")
    assert torch.equal(tuned.model.language_model.norm.weight, family.decoder.norm.weight)


def test_a_tied_head_may_be_there_or_not(tmp_path: Path) -> None:
    tied = both(llava(text={"tie_word_embeddings": True}, tie_word_embeddings=True), tmp_path)
    assert HEAD not in tied.tensors
    with_head = {HEAD: tied.tensors["language_model.model.embed_tokens.weight"].clone()}
    import_checkpoint(changed_copy(tied, tmp_path / "source", None, **with_head), tmp_path / "with head")
    assert differs(open_imported(tmp_path / "with head"), tied.model) < 1e-4


@pytest.mark.parametrize(
    ("kind", "of_theirs", "stated"),
    [
        ("aria", "AriaConfig", {"text_config": {}, "vision_config": {"image_size": 980, "patch_size": 14}}),
        ("clip", "CLIPConfig", {}),
        ("llava", "LlavaConfig", {"text_config": {}, "vision_config": {"model_type": "clip_vision_model"}}),
        ("llava", "LlavaConfig", {"text_config": {"model_type": "mistral"}, "vision_config": {"patch_size": 14}}),
        ("qwen2_vl", "Qwen2VLConfig", {"vision_config": {"mlp_ratio": 4}, "text_config": {}}),
    ],
)
def test_what_a_file_leaves_out_means_what_it_does_there(kind: str, of_theirs: str, stated: dict[str, Any]) -> None:
    whole = json.loads(getattr(transformers, of_theirs)(**stated).to_json_string(use_diff=False))
    assert read_foreign({**stated, "model_type": kind}, {}) == read_foreign(whole, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model_type": "no-such-model"}, "has model_type 'no-such-model', which cannot be imported as a whole"),
        ({"quantization_config": {"bits": 4}}, "has quantised weights"),
        ({"vision_feature_select_strategy": "full"}, "only 'default', its patches, can be read"),
        ({"projector_hidden_act": "sine"}, "hidden_act 'sine'"),
        ({"text_config": {"model_type": "gpt2"}}, "has model_type 'gpt2', but only"),
        ({"vision_config": {"model_type": "dinov2"}}, "vision_config has model_type 'dinov2'"),
        ({"vision_feature_layer": 7}, "the encoder has no layer 7"),
        ({"image_token_index": 6}, "no special token with the id 6"),
        ({"multimodal_projector_bias": False}, "2 tensors of the checkpoint have no place in the system, first"),
    ],
)
def test_a_configuration_that_cannot_be_read(
    model: Both, content: dict[str, Any], message: str, tmp_path: Path
) -> None:
    assert message in refused(changed_copy(model, tmp_path / "source", content))


def test_tensors_that_do_not_fit(model: Both, tmp_path: Path) -> None:
    without = changed_copy(model, tmp_path / "without", None, **{QUERY: None})
    assert f"no tensor {QUERY}" in refused(without)
    wider = changed_copy(model, tmp_path / "wider", None, **{QUERY: torch.zeros(32, 40)})
    assert f"{QUERY} and what belongs to it cannot be joined: the shapes are (32, 40), (16, 32)" in refused(wider)
    positions = next(name for name in model.tensors if name.endswith("position_embedding.weight"))
    fewer = changed_copy(model, tmp_path / "fewer", None, **{positions: torch.zeros(5, 24)})
    assert "position_embedding.weight and what belongs to it cannot be joined" in refused(fewer)
    norm = "language_model.model.norm.weight"
    longer = changed_copy(model, tmp_path / "longer", None, **{norm: torch.zeros(40)})
    assert "'decoder.norm.weight' has the shape (32,), and the checkpoint the shape (40,)" in refused(longer)
    shards = changed_copy(model, tmp_path / "shards")
    (shards / "model.safetensors").rename(shards / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (shards / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "has no model-00002-of-00002.safetensors" in refused(shards)


def test_a_tokenizer_of_another_checkpoint(model: Both, tmp_path: Path) -> None:
    source = changed_copy(model, tmp_path / "source")
    (source / "tokenizer.json").write_text((source / "tokenizer.json").read_text().replace("<image>", "<picture>"))
    import_checkpoint(source, tmp_path / "by its id")
    write_tokenizer(source, **{"<another>": 6})
    content = json.loads((source / "tokenizer.json").read_text())
    content["model"]["vocab"] |= {f"more{number}": number for number in range(120, 130)}
    (source / "tokenizer.json").write_text(json.dumps(content))
    assert "has 130 tokens, but the checkpoint's language model only 120" in refused(source)
    (source / "tokenizer.json").write_text("{")
    assert "is no JSON" in refused(source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"image_mean": [0.5, 0.5, 0.5]},
            "image_mean [0.5, 0.5, 0.5], but the encoder gets pixels with image_mean",
        ),
        ({"image_std": [0.3]}, "image_std [0.3]"),
        ({"rescale_factor": 1.0}, "rescale_factor 1.0"),
        ({"do_normalize": False}, "do_normalize False"),
    ],
)
def test_pixels_are_what_the_checkpoint_was_trained_on(
    model: Both, content: dict[str, Any], message: str, tmp_path: Path
) -> None:
    usual = transformers.CLIPImageProcessor().to_dict()
    good, bad = (changed_copy(model, tmp_path / name) for name in ("good", "bad"))
    (good / "preprocessor_config.json").write_text(json.dumps(usual))
    import_checkpoint(good, tmp_path / "ours")
    assert (tmp_path / "ours" / "preprocessor_config.json").is_file()
    (bad / "processor_config.json").write_text(json.dumps({"image_processor": {**usual, **content}}))
    assert message in refused(bad)
    (bad / "preprocessor_config.json").write_text("[")
    assert "is no JSON" in refused(bad)


@pytest.mark.parametrize("scale", ["tiny", "small"])
def test_the_system_is_the_same_over_every_scale(model: Both, scale: str) -> None:
    settings = load_settings([f"ours={model.ours / 'system.yaml'}"], scale=scale, data="scenes")
    own = own_settings(settings, settings.systems["ours"])
    assert own.encoder == read_folder(model.ours).encoder
    assert Path(own.language_model.config) == model.ours / "decoder.json" and own.language_model.weights == "random"


def test_nothing_that_is_there_is_written_over(model: Both, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is there already"):
        import_checkpoint(model.theirs, tmp_path)
    with pytest.raises(UserError, match="is there already"):
        export_checkpoint(model.ours, tmp_path)
    with pytest.raises(UserError, match="is no imported checkpoint"):
        export_checkpoint(model.theirs, tmp_path / "new")
