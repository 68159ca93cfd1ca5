"""Checkpoint folders: what is read, written and refused; the agreement with each model is in ``layouts``."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.config.model import ExpertSettings, LanguageModelSettings
from mmbench.nn.checkpoint import load_language_model, save_language_model
from mmbench.nn.decoder import Decoder

transformers = pytest.importorskip("transformers")

SIZES: dict[str, dict[str, Any]] = {
    "tied, grouped queries": {"num_key_value_heads": 2, "tie_word_embeddings": True},
    "untied, one key head each": {"num_key_value_heads": 4, "tie_word_embeddings": False, "rope_theta": 500000.0},
    "wide heads": {"num_key_value_heads": 1, "head_dim": 24, "rms_norm_eps": 1e-3},
}


def _reference(**changed: Any) -> Any:
    """A small LlamaForCausalLM with random weights large enough that every part matters."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 61, "hidden_size": 32, "intermediate_size": 80, "num_hidden_layers": 3}
    config = transformers.LlamaConfig(**{**sizes, "num_attention_heads": 4, "initializer_range": 0.2, **changed})
    return transformers.LlamaForCausalLM(config).eval()


def _difference(decoder: Decoder, reference: Any) -> float:
    ids = torch.randint(0, 61, (2, 13), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = decoder.logits(decoder(decoder.embed(ids), torch.arange(13).expand(2, 13)))
        expected = reference(ids).logits
    assert expected.std() > 0.1
    return float((logits - expected).abs().max())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as Hugging Face writes it, for the tests that damage it."""
    _reference(**SIZES["tied, grouped queries"]).save_pretrained(tmp_path)
    return tmp_path


def _edit(folder: Path, **changed: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("shard", ["5GB", "20KB"])
def test_logits_equal_those_of_transformers(tmp_path: Path, name: str, shard: str) -> None:
    _reference(**SIZES[name]).save_pretrained(tmp_path, max_shard_size=shard)
    assert (tmp_path / "model.safetensors.index.json").exists() == (shard == "20KB")
    reference = transformers.LlamaForCausalLM.from_pretrained(tmp_path).eval()
    assert _difference(load_language_model(tmp_path), reference) < 1e-4


@pytest.mark.parametrize("name", SIZES)
def test_transformers_reads_what_is_written(tmp_path: Path, name: str) -> None:
    sizes = SIZES[name]
    torch.manual_seed(0)
    decoder = Decoder(
        Decoder.Config(
            vocab_size=61,
            width=32,
            depth=3,
            num_heads=4,
            num_kv_heads=sizes["num_key_value_heads"],
            feed_forward_width=80,
            rope_theta=sizes.get("rope_theta", 10000.0),
            norm_eps=sizes.get("rms_norm_eps", 1e-5),
            tie_embeddings=sizes.get("tie_word_embeddings", False),
            head_dim=sizes.get("head_dim"),
        )
    )
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    save_language_model(decoder, tmp_path)
    reference, report = transformers.LlamaForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert _difference(decoder, reference.eval()) < 1e-4


def test_written_and_read_again_is_the_same(tmp_path: Path) -> None:
    decoder = Decoder(Decoder.Config(vocab_size=40, depth=2, rope_theta=777.0, norm_eps=1e-4, tie_embeddings=False))
    save_language_model(decoder, tmp_path / "new" / "folder")
    state_of_random = torch.random.get_rng_state()
    again = load_language_model(tmp_path / "new" / "folder")
    assert torch.equal(torch.random.get_rng_state(), state_of_random)
    assert again.config == decoder.config
    assert all(torch.equal(p, q) for p, q in zip(decoder.parameters(), again.parameters(), strict=True))
    assert all(p.requires_grad for p in again.parameters())


@pytest.mark.parametrize("experts", [ExpertSettings(), ExpertSettings(num_experts=3, num_active=2, width=40)])
def test_sections_and_experts_of_the_settings_come_back(tmp_path: Path, experts: ExpertSettings) -> None:
    """Positions of three columns are for images; on text a model of transformers without sections does the same."""
    settings = LanguageModelSettings(width=32, depth=2, num_heads=4, mrope_sections=[1, 1, 2], experts=experts)
    decoder = Decoder(Decoder.Config.from_settings(settings, vocab_size=61))
    save_language_model(decoder, tmp_path)
    again = load_language_model(tmp_path)
    assert (again.config.mrope_sections, again.config.experts) == ([1, 1, 2], experts)
    assert all(torch.equal(p, q) for p, q in zip(decoder.parameters(), again.parameters(), strict=True))
    reference = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    ids = torch.arange(13)[None]
    with torch.no_grad():
        logits = again.logits(again(again.embed(ids), ids))
        torch.testing.assert_close(logits, reference(ids).logits, atol=1e-5, rtol=1e-4)


def test_bfloat16_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    save_language_model(Decoder(Decoder.Config(vocab_size=40, depth=1)).bfloat16(), tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["torch_dtype"] == "bfloat16"
    assert load_language_model(tmp_path).embedding.weight.dtype == torch.float32
    assert load_language_model(tmp_path, dtype=torch.bfloat16).embedding.weight.dtype == torch.bfloat16


def test_older_configurations_have_rope_theta_at_the_top(folder: Path) -> None:
    _edit(folder, rope_parameters=None, rope_theta=1234.0)
    assert load_language_model(folder).config.rope_theta == 1234.0
    _edit(folder, rope_parameters={"rope_type": "default", "rope_theta": 99.0}, rope_theta=None)
    assert load_language_model(folder).config.rope_theta == 99.0


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("model_type", {"model_type": "gpt2"}),
        ("hidden_act", {"hidden_act": "mish"}),
        ("rope_scaling", {"rope_scaling": {"rope_type": "dynamic", "factor": 8.0}, "rope_parameters": None}),
        ("rope_scaling", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0}}),
        ("use_sliding_window", {"model_type": "qwen2", "use_sliding_window": True, "max_window_layers": 1}),
    ],
)
def test_refuses_what_the_decoder_does_not_do(folder: Path, key: str, changed: dict[str, Any]) -> None:
    _edit(folder, **changed)
    with pytest.raises(UserError, match=f"{folder}.* {key} .* supported"):
        load_language_model(folder)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"gated": False}, "type 'llama' does not hold gated False"),
        ({"rotary_share": 0.5}, r"type 'llama' does not hold rotary_share 0\.5"),
        ({"norm": "layer"}, "type 'persimmon' does not hold num_kv_heads 2"),
        ({"sliding_window": 8, "qkv_bias": True}, "type 'mistral' does not hold qkv_bias True"),
        ({"qk_norm": "rms"}, "type 'llama' does not hold qk_norm 'rms'"),
        ({"max_positions": 8}, "type 'llama' does not hold max_positions 8"),
    ],
)
def test_a_decoder_that_no_type_holds_is_not_written(tmp_path: Path, variant: dict[str, Any], message: str) -> None:
    decoder = Decoder(Decoder.Config(vocab_size=40, depth=1, **variant))
    with pytest.raises(UserError, match=message):
        save_language_model(decoder, tmp_path)
    assert not list(tmp_path.iterdir())


def test_quantised_weights_are_refused(folder: Path) -> None:
    _edit(folder, quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(UserError, match="quantised weights"):
        load_language_model(folder)


def test_offline_a_name_of_the_hub_is_looked_up_without_the_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: pytest.fail("the network was used"))
    with pytest.raises(UserError, match=r"weights 'somebody/some-model' is no folder here.*\(offline\)"):
        load_language_model("somebody/some-model", offline=True)


def test_a_configuration_of_other_sizes(folder: Path) -> None:
    _edit(folder, intermediate_size=64)
    with pytest.raises(UserError, match=r"do not fit its config\.json.*gate_proj.weight has 80 rows instead of 64"):
        load_language_model(folder)
    _edit(folder, intermediate_size=80, num_hidden_layers=4)
    with pytest.raises(UserError, match=r"model\.layers\.3"):
        load_language_model(folder)
    _edit(folder, hidden_size=None)
    with pytest.raises(UserError, match="lacks hidden_size"):
        load_language_model(folder)


def test_a_deeper_file_than_its_configuration(folder: Path) -> None:
    _edit(folder, num_hidden_layers=2)
    with pytest.raises(UserError, match=r"model\.layers\.2"):
        load_language_model(folder)


def test_incomplete_and_damaged_folders(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="cannot be read"):
        load_language_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"has no model\.safetensors"):
        load_language_model(folder)
    (folder / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(UserError, match="no index of shards"):
        load_language_model(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(UserError, match="no JSON object"):
        load_language_model(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="no JSON"):
        load_language_model(folder)
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"has no config\.json"):
        load_language_model(folder)
