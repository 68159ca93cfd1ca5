"""Text models inside larger models of transformers, in both directions: the same hidden states or logits."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.nn.checkpoint_files import read_tensors
from mmbench.nn.decoder import Decoder
from mmbench.nn.layouts import aria_text, clip_text, idefics_text, llama, mllama_text, persimmon, qwen2_vl_text
from mmbench.nn.tensor_names import Joined, to_ours, to_theirs
from tests.nn.layouts.generation import greedy

transformers = pytest.importorskip("transformers")

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "pad_token_id": None,
}
IDS = torch.randint(0, 60, (2, 11), generator=torch.Generator().manual_seed(1))
POSITIONS = torch.arange(11).expand(2, 11)


def randomised(model: nn.Module) -> Any:
    """The model with weights large enough that every part matters; gates stay as they are."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "alpha" not in name:
                parameter.copy_((parameter.dim() == 1 and "weight" in name) + torch.randn_like(parameter) * 0.2)
    return model.eval()


def there_and_back(model: Any, folder: Path, config: Decoder.Config, names: Iterable[Joined]) -> Decoder:
    """The decoder inside the saved model, once its tensors were found to come back as they were."""
    model.save_pretrained(folder)
    table, tensors = list(names), read_tensors(folder)
    decoder = Decoder(config)
    decoder.load_state_dict(to_ours(dict(tensors), table))
    for name, tensor in to_theirs(decoder.state_dict(), table).items():
        assert torch.equal(tensor, tensors[name])
    return decoder.eval()


def assert_generates_the_same_batched_and_alone(decoder: Decoder) -> None:
    prompts = [IDS[0, :9].tolist(), IDS[1, :4].tolist()]
    assert greedy(decoder, prompts) == [greedy(decoder, [prompt])[0] for prompt in prompts]


@torch.no_grad()
def assert_same(ours: Tensor, theirs: Tensor) -> None:
    assert theirs.std() > 0.1
    assert float((ours - theirs).abs().max()) < 1e-4


def qwen2_vl(**changed: Any) -> Any:
    rope = {"rope_type": "default", "rope_theta": 1000.0, "mrope_section": [1, 1, 2]}
    config = transformers.Qwen2VLTextConfig(**{**SIZES, "num_key_value_heads": 2, "rope_parameters": rope, **changed})
    return randomised(transformers.models.qwen2_vl.modeling_qwen2_vl.Qwen2VLTextModel(config))


@pytest.mark.parametrize("changed", [{}, {"num_key_value_heads": 4, "num_hidden_layers": 2}])
@torch.no_grad()
def test_qwen2_vl_with_positions_of_an_image(changed: dict[str, int], tmp_path: Path) -> None:
    """Two text tokens, an image of 2 x 3, text again."""
    model = qwen2_vl(**changed)
    config = qwen2_vl_text.read_config(model.config.to_dict() | {"tie_word_embeddings": True})
    decoder = there_and_back(model, tmp_path, config, qwen2_vl_text.names(config, prefix_theirs=""))
    image = [[2, 2 + row, 2 + column] for row in range(2) for column in range(3)]
    positions = torch.tensor([[0] * 3, [1] * 3, *image, [5] * 3, [6] * 3, [7] * 3]).expand(2, 11, 3)
    theirs = model(IDS, position_ids=positions.permute(2, 0, 1)).last_hidden_state
    ours = decoder(decoder.embed(IDS), positions)
    assert_same(ours, theirs)
    assert (decoder(decoder.embed(IDS), POSITIONS) - ours).abs().max() > 0.01
    assert_same(decoder(decoder.embed(IDS), POSITIONS), model(IDS).last_hidden_state)
    assert_generates_the_same_batched_and_alone(decoder)


@pytest.mark.parametrize("cross", [[1], [0, 3]])
@torch.no_grad()
def test_llama_3_2_vision_without_images(cross: list[int], tmp_path: Path) -> None:
    rope = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
        "rope_theta": 500000.0,
    }
    more = {"num_key_value_heads": 2, "num_hidden_layers": 4, "cross_attention_layers": cross, "rope_parameters": rope}
    model = randomised(transformers.MllamaForCausalLM(transformers.MllamaTextConfig(**{**SIZES, **more})))
    content = model.config.to_dict()
    config = mllama_text.read_config(content)
    assert config.depth == 4 - len(cross)
    names = mllama_text.names(config, prefix_theirs="model.", cross_attention_layers=cross)
    decoder = there_and_back(model, tmp_path, config, names)
    assert_same(decoder.logits(decoder(decoder.embed(IDS), POSITIONS)), model(IDS).logits)
    assert_generates_the_same_batched_and_alone(decoder)
    assert mllama_text.read_config(content | mllama_text.write_config(config, cross)) == config


@pytest.mark.parametrize("additional", [0, 3])
@torch.no_grad()
def test_idefics_with_its_gates_shut(additional: int, tmp_path: Path) -> None:
    vision = {"embed_dim": 32, "image_size": 8, "patch_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2}
    more = {"additional_vocab_size": additional, "vision_config": {**vision, "intermediate_size": 32}}
    config_of_all = transformers.IdeficsConfig(**{**SIZES, **more, "pad_token_id": 0})
    model = randomised(transformers.IdeficsForVisionText2Text(config_of_all))
    content = config_of_all.to_dict()
    config = idefics_text.read_config(content)
    assert config.vocab_size == 61 + additional
    names = idefics_text.names(config, additional_vocab_size=additional)
    decoder = there_and_back(model, tmp_path, config, names)
    ids = (IDS + additional).clamp(max=60 + additional)
    pixels, sees = torch.randn(2, 1, 3, 8, 8), torch.ones(2, 11, 1, dtype=torch.long)
    theirs = model(ids, attention_mask=torch.ones_like(ids), pixel_values=pixels, image_attention_mask=sees).logits
    assert_same(decoder.logits(decoder(decoder.embed(ids), POSITIONS)), theirs)
    assert_generates_the_same_batched_and_alone(decoder)
    assert idefics_text.read_config(content | idefics_text.write_config(config, additional)) == config


@pytest.mark.parametrize("depth", [1, 3])
@torch.no_grad()
def test_the_text_tower_of_clip(depth: int, tmp_path: Path) -> None:
    sizes = {**SIZES, "num_hidden_layers": depth, "max_position_embeddings": 12}
    model = randomised(transformers.CLIPTextModel(transformers.CLIPTextConfig(**sizes)))
    config = clip_text.read_config(model.config.to_dict())
    prefix = "text_model." if any(name.startswith("text_model.") for name in saved(model, tmp_path)) else ""
    decoder = there_and_back(model, tmp_path, config, clip_text.names(config, prefix_theirs=prefix))
    assert_same(decoder(decoder.embed(IDS), POSITIONS), model(IDS).last_hidden_state)
    assert clip_text.read_config(clip_text.write_config(config)) == config
    with pytest.raises(ValueError, match="position 12 lies beyond the 12 learned ones"):
        decoder(decoder.embed(IDS), POSITIONS + 2)


@torch.no_grad()
def test_the_text_tower_of_siglip_reads_both_ways(tmp_path: Path) -> None:
    sizes = {**SIZES, "max_position_embeddings": 11, "projection_size": 32}
    model = randomised(transformers.SiglipTextModel(transformers.SiglipTextConfig(**sizes)))
    config = clip_text.read_config(model.config.to_dict())
    assert config.activation == "gelu_tanh"
    prefix = "text_model." if any(name.startswith("text_model.") for name in saved(model, tmp_path)) else ""
    decoder = there_and_back(model, tmp_path, config, clip_text.names(config, prefix_theirs=prefix))
    everywhere = torch.ones(1, 1, 11, 11, dtype=torch.bool)
    assert_same(decoder(decoder.embed(IDS), POSITIONS, everywhere), model(IDS).last_hidden_state)
    assert clip_text.read_config(clip_text.write_config(config, "siglip_text_model")) == config


def saved(model: Any, folder: Path) -> Iterable[str]:
    model.save_pretrained(folder)
    return read_tensors(folder)


@pytest.mark.parametrize(
    ("of_theirs", "read_config", "defaults"),
    [
        ("LlamaConfig", llama.read_config, llama.DEFAULTS["llama"]),
        ("Qwen2Config", llama.read_config, llama.DEFAULTS["qwen2"]),
        ("MistralConfig", llama.read_config, llama.DEFAULTS["mistral"]),
        ("Qwen2VLTextConfig", qwen2_vl_text.read_config, qwen2_vl_text.DEFAULTS),
        ("MllamaTextConfig", mllama_text.read_config, mllama_text.DEFAULTS),
        ("AriaTextConfig", aria_text.read_config, aria_text.DEFAULTS),
        ("IdeficsConfig", idefics_text.read_config, idefics_text.DEFAULTS),
        ("CLIPTextConfig", clip_text.read_config, clip_text.DEFAULTS["clip_text_model"]),
        ("SiglipTextConfig", clip_text.read_config, clip_text.DEFAULTS["siglip_text_model"]),
        ("PersimmonConfig", persimmon.read_config, persimmon.DEFAULTS),
    ],
)
def test_what_a_section_leaves_out_means_what_it_does_there(of_theirs: str, read_config: Any, defaults: Any) -> None:
    theirs = getattr(transformers, of_theirs)()
    rope = {"rope_theta": theirs.rope_parameters["rope_theta"]} if getattr(theirs, "rope_parameters", None) else {}
    bare = {"model_type": theirs.model_type}
    assert read_config({**defaults, **bare, **rope}) == read_config(theirs.to_dict())
    with pytest.raises(UserError, match="lacks"):
        read_config(bare)
