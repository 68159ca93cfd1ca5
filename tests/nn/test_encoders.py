"""Encoders of both libraries, built small on the spot."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file

from mmbench.config.errors import UserError
from mmbench.config.model import EncoderSettings
from mmbench.nn.attention import attention_kernel, set_attention_kernel
from mmbench.nn.encoders import ImageEncoder, build_encoder

TINY = {"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "class_token": False, "global_pool": "avg"}
TOWER = {"layers": 2, "width": 64, "head_width": 32, "patch_size": 16}


@pytest.fixture(autouse=True)
def _restored_kernel() -> Iterator[None]:
    before = attention_kernel()
    yield
    set_attention_kernel(before)


def _timm(image_size: int = 48, **changed: Any) -> ImageEncoder:
    torch.manual_seed(0)
    return build_encoder(EncoderSettings(**{"options": TINY, **changed}), image_size).eval()


def _open_clip(image_size: int = 64, **changed: Any) -> ImageEncoder:
    torch.manual_seed(0)
    settings = {"library": "open_clip", "name": "ViT-S-32", "options": TOWER, "weights": "random", **changed}
    return build_encoder(EncoderSettings(**settings), image_size).eval()


def _images(height: int, width: int | None = None) -> torch.Tensor:
    return torch.randn(2, 3, height, width or height, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("weights", ["contrastive", "random"])
def test_timm_gives_patch_tokens(weights: str) -> None:
    encoder = _timm(weights=weights)
    assert encoder(_images(48)).shape == (2, 36, 24)
    assert (encoder.dim, encoder.patch_size, encoder.num_tokens(48), encoder.num_tokens(96)) == (24, 8, 36, 144)


def test_class_token_is_dropped_and_tokens_are_normalised() -> None:
    encoder = _timm(options={**TINY, "class_token": True, "global_pool": "token"})
    tokens = encoder(_images(48))
    assert tokens.shape == (2, 36, 24)
    for normed in (tokens, _timm()(_images(48))):
        torch.testing.assert_close(normed.mean(-1), torch.zeros(2, 36), atol=1e-4, rtol=0)
        torch.testing.assert_close(normed.std(-1, correction=0), torch.ones(2, 36), atol=1e-2, rtol=0)


@pytest.mark.parametrize("build", [_timm, _open_clip])
def test_other_resolutions(build: Any) -> None:
    encoder = build()
    size = encoder.patch_size
    assert encoder(_images(6 * size)).shape == (2, encoder.num_tokens(6 * size), encoder.dim)
    assert encoder(_images(2 * size, 5 * size)).shape == (2, 10, encoder.dim)


@pytest.mark.parametrize("build", [_timm, _open_clip])
def test_every_parameter_trains(build: Any) -> None:
    encoder = build().train()
    weights = torch.randn(encoder.dim)
    (encoder(_images(encoder.patch_size * 4)) * weights).sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None] == []


def _hooked(encoder: ImageEncoder, images: torch.Tensor) -> list[torch.Tensor]:
    """What enters the first block and what each block puts out, seen from outside in a whole forward pass."""
    model = cast(Any, encoder)
    blocks = model.model.blocks if hasattr(model, "model") else model.visual.transformer.resblocks
    seen: list[torch.Tensor] = []
    hooks = [blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))]
    hooks += [block.register_forward_hook(lambda _, __, output: seen.append(output)) for block in blocks]
    encoder(images)
    for hook in hooks:
        hook.remove()
    return seen


WITH_CLASS = {**TINY, "class_token": True, "global_pool": "token", "depth": 3}


@pytest.mark.parametrize(
    "encoder",
    [lambda: _timm(options=WITH_CLASS), lambda: _open_clip(options={**TOWER, "layers": 3})],
    ids=["timm", "open_clip"],
)
def test_features_are_the_blocks_outputs(encoder: Any) -> None:
    encoder = encoder()
    images = _images(4 * encoder.patch_size, 2 * encoder.patch_size)
    seen = _hooked(encoder, images)
    assert len(seen) == 4 == encoder.depth + 1
    layers = [-2, 0, 3, -1, 1]
    patches, whole = encoder.features(images, layers), encoder.features(images, layers, class_token=True)
    for layer, tokens, with_class in zip(layers, patches, whole, strict=True):
        assert tokens.shape == (2, 8, encoder.dim)
        torch.testing.assert_close(with_class, seen[layer])
        torch.testing.assert_close(tokens, seen[layer][:, 1:])
    torch.testing.assert_close(encoder.final_norm(patches[3]), encoder(images))
    assert encoder.num_class_tokens == 1


def test_features_of_a_model_without_class_token() -> None:
    encoder = _timm()
    tokens, whole = encoder.features(_images(48), [1]), encoder.features(_images(48), [1], class_token=True)
    torch.testing.assert_close(tokens[0], whole[0])
    torch.testing.assert_close(encoder.final_norm(encoder.features(_images(48), [-1])[0]), encoder(_images(48)))


@pytest.mark.parametrize("build", [_timm, _open_clip])
def test_features_compute_no_later_block(build: Any) -> None:
    encoder = build()
    blocks = encoder.model.blocks if hasattr(encoder, "model") else encoder.visual.transformer.resblocks
    blocks[1].register_forward_hook(lambda *_: pytest.fail("the second block was computed"))
    encoder.features(_images(4 * encoder.patch_size), [0, -2])


@pytest.mark.parametrize("build", [_timm, _open_clip])
def test_dropped_layers_leave_no_parameter_without_gradient(build: Any) -> None:
    encoder = build().train()
    images = _images(4 * encoder.patch_size)
    expected = encoder.features(images, [-2])[0].detach()
    num_parameters = sum(p.numel() for p in encoder.parameters())
    encoder.keep_layers(encoder.layer_number(-2))
    tokens = encoder.features(images, [-2])[0]  # numbered as before
    torch.testing.assert_close(tokens, expected)
    torch.testing.assert_close(encoder(images), expected)
    tokens.square().sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None] == []
    assert sum(p.numel() for p in encoder.parameters()) < num_parameters
    with pytest.raises(ValueError, match=r"only its first 1 blocks were kept"):
        encoder.features(images, [-1])


def test_a_layer_that_is_not_there() -> None:
    encoder = _timm()
    with pytest.raises(ValueError, match=r"no layer 3: it has 2 blocks, so give 0 .* to 2 .* or -1 to -3"):
        encoder.features(_images(48), [3])
    with pytest.raises(ValueError, match=r"no layer -4"):
        encoder.features(_images(48), [-4])
    for num in (0, 3):
        with pytest.raises(ValueError, match=rf"{num} blocks of the encoder cannot be kept: give 1 to 2"):
            encoder.keep_layers(num)


def test_norms_have_the_epsilon_of_the_options() -> None:
    model = cast(Any, _timm(options={**TINY, "norm_eps": 0.25})).model
    assert {module.eps for module in model.modules() if isinstance(module, torch.nn.LayerNorm)} == {0.25}


def test_attention_pooling_is_left_out() -> None:
    options = {key: value for key, value in TINY.items() if key not in ("global_pool", "class_token")}
    encoder = _timm(name="vit_base_patch16_siglip_224", options=options)
    assert not any("attn_pool" in name for name, _ in encoder.named_parameters())
    assert encoder(_images(48)).shape == (2, 36, 24)


def test_pixels_are_normalised_as_the_weights_expect() -> None:
    for encoder, mean in ((_timm(), 0.5), (_open_clip(), 0.48145466)):
        pixels = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
        expected = (1 - mean) / float(encoder.std[0])
        torch.testing.assert_close(encoder.normalise(pixels)[0, 0], torch.full((2, 2), expected))
        assert "mean" not in encoder.state_dict()


def test_kernel_switch_reaches_timm_after_building() -> None:
    encoder = _timm()
    outputs = []
    for kernel, fused in (("sdpa", True), ("plain", False)):
        set_attention_kernel(kernel)  # type: ignore[arg-type]
        outputs.append(encoder(_images(48)))
        assert {m.fused_attn for m in encoder.modules() if hasattr(m, "fused_attn")} == {fused}
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_timm_checkpoint_of_another_resolution(tmp_path: Path, suffix: str) -> None:
    model = timm.create_model("vit_tiny_patch16_224", img_size=48, **TINY)
    path = tmp_path / f"model.{suffix}"
    if suffix == "pth":
        torch.save(model.state_dict(), path)
    else:
        save_file(model.state_dict(), path)
    same, larger = _timm(weights=str(path)), _timm(64, weights=str(path))
    tokens = model.eval().fc_norm(model.forward_features(_images(48)))
    torch.testing.assert_close(same(_images(48)), tokens)
    assert larger(_images(64)).shape == (2, 64, 24)
    torch.testing.assert_close(larger.model.blocks[1].mlp.fc1.weight, model.blocks[1].mlp.fc1.weight)  # type: ignore


def test_timm_checkpoint_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(timm.create_model("vit_tiny_patch16_224", img_size=48, **TINY).state_dict(), path)
    with pytest.raises(UserError, match=r"lacks 12 of its tensors, first 'blocks\.2"):
        _timm(weights=str(path), options={**TINY, "depth": 3})
    with pytest.raises(UserError, match=r"could not be loaded.*size mismatch"):
        _timm(weights=str(path), options={**TINY, "embed_dim": 32})
    path.write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match="could not be loaded"):
        _timm(weights=str(path))


def test_open_clip_tokens_are_those_of_the_tower(tmp_path: Path) -> None:
    text = {"context_length": 8, "vocab_size": 8, "width": 64, "heads": 1, "layers": 1}
    config = {"embed_dim": 32, "vision_cfg": {**TOWER, "image_size": 64}, "text_cfg": text}
    (tmp_path / "small-tower.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "small-tower.json")
    clip = open_clip.create_model("small-tower").eval()
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    clip.visual.output_tokens = True
    encoder = _open_clip(name="small-tower", options={}, weights=str(tmp_path / "clip.pt"))
    assert (encoder.dim, encoder.patch_size, encoder.num_tokens(64)) == (64, 16, 16)
    torch.testing.assert_close(encoder(_images(64)), clip.visual(_images(64))[1])


def test_open_clip_tower_made_by_timm() -> None:
    encoder = _open_clip(
        name="ViT-B-16-SigLIP", options={"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "avg"}
    )
    assert encoder(_images(64)).shape == (2, 16, 192)
    assert encoder(_images(96)).shape == (2, 36, 192)


@pytest.mark.parametrize(
    ("build", "changed", "message"),
    [
        (_timm, {"library": "timn"}, "did you mean 'timm'"),
        (
            _timm,
            {"name": "vit_tinny_patch16_224"},
            "has no model 'vit_tinny_patch16_224': the nearest .*vit_tiny_patch16_224",
        ),
        (_timm, {"name": "convnext_atto", "options": {}}, "does not give patch tokens"),
        (_timm, {"name": "resnet18", "options": {}}, "does not give patch tokens"),
        (_timm, {"options": {"dpeth": 2}}, "cannot be built with options .*'dpeth'"),
        (_timm, {"options": {**TINY, "patch_size": 7}}, "48 pixels do not divide into the 7-pixel patches"),
        (_timm, {"weights": "/no/such/file.pth"}, "there is no such file: give"),
        (_open_clip, {"name": "ViT-S-33"}, "has no model 'ViT-S-33': the nearest .*ViT-S-32"),
        (_open_clip, {"name": "RN50", "options": {}}, "does not give patch tokens"),
        (_open_clip, {"name": "coca_ViT-B-32", "options": {}}, "does not give patch tokens"),
        (_open_clip, {"options": {"dpeth": 2}}, "cannot be built with options .*'dpeth'"),
        (_open_clip, {"weights": "/no/such/file.pt"}, "there is no such file: give"),
        (_open_clip, {"name": "ViT-B-32", "weights": "laion2b_s34b"}, "did you mean 'laion2b_s34b_b79k'"),
        (_open_clip, {"weights": "pretrained"}, "no weights for 'ViT-S-32': set encoder.weights to a local file"),
    ],
)
def test_mistakes_are_one_sentence(build: Any, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        build(**changed)
    assert "\n" not in str(raised.value)


def test_pretrained_weights_without_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"could not be loaded .* path of a local checkpoint"):
        _timm(224, weights="pretrained", options={})
