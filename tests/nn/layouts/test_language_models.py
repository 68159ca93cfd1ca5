"""Language models of transformers in checkpoint folders, in both directions: the same logits, the same generation."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.nn.checkpoint import load_language_model, save_language_model
from mmbench.nn.checkpoint_files import read_tensors
from mmbench.nn.decoder import Decoder
from tests.nn.layouts.generation import greedy

transformers = pytest.importorskip("transformers")

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
    "rope_theta": 500000.0,
}
LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}
NORMAL = {"rope_type": "default", "rope_theta": 10000.0}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama, tied, grouped queries": ("Llama", {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "llama, untied, llama3": ("Llama", {"rope_parameters": LLAMA3, "num_key_value_heads": 1}),
    "llama, linear, wide heads": ("Llama", {"rope_parameters": LINEAR, "head_dim": 24, "rms_norm_eps": 1e-3}),
    "llama, biases, gelu": ("Llama", {"attention_bias": True, "mlp_bias": True, "hidden_act": "gelu"}),
    "qwen2, tied": ("Qwen2", {"num_key_value_heads": 2, "tie_word_embeddings": True, "rope_parameters": NORMAL}),
    "qwen2, untied": ("Qwen2", {"num_key_value_heads": 4}),
    "mistral without a window": ("Mistral", {"num_key_value_heads": 2, "sliding_window": None}),
    "mistral, text longer than the window": ("Mistral", {"num_key_value_heads": 2, "sliding_window": 5}),
    "persimmon": ("Persimmon", {"rope_parameters": {**NORMAL, "partial_rotary_factor": 0.5}}),
    "persimmon without norms of queries and keys": (
        "Persimmon",
        {"qk_layernorm": False, "hidden_act": "gelu_new", "rope_parameters": {**NORMAL, "partial_rotary_factor": 0.75}},
    ),
    "aria": ("AriaText", {"moe_num_experts": 6, "moe_topk": 2, "moe_num_shared_experts": 2}),
    "aria, one shared expert, tied": (
        "AriaText",
        {"moe_num_experts": 5, "moe_topk": 3, "moe_num_shared_experts": 1, "tie_word_embeddings": True},
    ),
}
SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "initializer_range": 0.2,
    "pad_token_id": None,
}
IDS = torch.randint(0, 61, (2, 13), generator=torch.Generator().manual_seed(1))


def reference_of(name: str) -> Any:
    """A small random model of transformers, with weights large enough that every part matters."""
    kind, changed = CASES[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**{**SIZES, **changed})
    reference = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in reference.parameters():
            if parameter.dim() == 1:  # norms and biases, which start at 1 and 0
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return reference


@torch.no_grad()
def logits_of(decoder: Decoder, ids: Tensor) -> Tensor:
    return decoder.logits(decoder(decoder.embed(ids), torch.arange(ids.shape[1]).expand(ids.shape)))


def assert_same(decoder: Decoder, reference: Any) -> None:
    with torch.no_grad():
        expected = reference(IDS).logits
    assert expected.std() > 0.1
    assert float((logits_of(decoder, IDS) - expected).abs().max()) < 1e-4


@pytest.mark.parametrize("name", CASES)
def test_read(name: str, tmp_path: Path) -> None:
    reference = reference_of(name)
    reference.save_pretrained(tmp_path)
    assert_same(load_language_model(tmp_path), reference)


@pytest.mark.parametrize("name", CASES)
def test_written_again_it_is_the_same_file(name: str, tmp_path: Path) -> None:
    """And transformers reads it: every tensor is there, and none too many."""
    reference = reference_of(name)
    reference.save_pretrained(tmp_path / "theirs")
    decoder = load_language_model(tmp_path / "theirs")
    save_language_model(decoder, tmp_path / "ours")
    theirs, ours = read_tensors(tmp_path / "theirs"), read_tensors(tmp_path / "ours")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    again, report = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert_same(decoder, again.eval())
    assert load_language_model(tmp_path / "ours").config == decoder.config


@pytest.mark.parametrize("name", CASES)
def test_greedy_generation_is_the_same_batched_and_alone(name: str, tmp_path: Path) -> None:
    """20 tokens after prompts of unequal length; alone as transformers generates them."""
    reference = reference_of(name)
    reference.save_pretrained(tmp_path)
    decoder = load_language_model(tmp_path)
    prompts = [IDS[0, :9].tolist(), IDS[1, :4].tolist(), IDS[0, 9:].tolist()]
    together = greedy(decoder, prompts)
    assert together == [greedy(decoder, [prompt])[0] for prompt in prompts]
    for prompt, tokens in zip(prompts, together, strict=True):
        ids = torch.tensor([prompt])
        made = reference.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=20,
            eos_token_id=None,
            pad_token_id=0,
            do_sample=False,
        )
        assert tokens == made[0, len(prompt) :].tolist()
