"""Gated layers with the weights of Hugging Face's: the same hidden states to 1e-5, also before the first image."""

from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.nn.attention import attention_kernel, set_attention_kernel
from mmbench.nn.cross_attention import ContextMask, GatedCrossAttention
from mmbench.nn.layouts import gated_layers
from mmbench.nn.tensor_names import to_ours, to_theirs

transformers = pytest.importorskip("transformers")

LOWEST = torch.finfo(torch.float32).min


@pytest.fixture(autouse=True, params=["sdpa", "plain"])
def _kernel(request: pytest.FixtureRequest) -> Any:
    before = attention_kernel()
    set_attention_kernel(request.param)
    yield
    set_attention_kernel(before)


def shaken(module: nn.Module) -> nn.Module:
    """With weights in which every part matters; the gates are open."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, 1.0 if parameter.dim() == 1 else 0.0, 0.3)
    return module.eval()


def moved(sizes: gated_layers.GatedSizes, theirs: nn.Module, names: Any) -> GatedCrossAttention:
    """Our layer with the weights of theirs, all of which are used and come back as they were."""
    ours = GatedCrossAttention(**asdict(sizes))
    there = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    tensors = dict(there)
    ours.load_state_dict(to_ours(tensors, names(sizes, "", "")))
    assert not tensors, "all of theirs is used"
    back = to_theirs(ours.state_dict(), names(sizes, "", ""))
    assert back.keys() == there.keys()
    assert all(torch.equal(back[name], there[name]) for name in there)
    return ours


def causal_reach(num_rows: int, length: int, num_images: int, per_image: int) -> Tensor:
    """bool ``[B, 1, L, M]``: row 0 reaches nothing, row 1 the first image, later rows all."""
    reach = torch.zeros(num_rows, length, num_images, dtype=torch.bool)
    reach[:, 1:, 0] = True
    reach[:, 2:] = True
    reach[-1, :3] = False
    return reach.repeat_interleave(per_image, 2)[:, None]


@pytest.mark.parametrize(("num_heads", "num_kv_heads", "per_image"), [(4, 2, 5), (4, 4, 3), (6, 1, 7)])
@pytest.mark.parametrize("masked", [True, False])
@torch.no_grad()
def test_mllama(num_heads: int, num_kv_heads: int, per_image: int, masked: bool) -> None:
    from transformers.models.mllama import modeling_mllama as modeling

    config = transformers.models.mllama.MllamaTextConfig(
        vocab_size=32,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=num_heads,
        num_key_value_heads=num_kv_heads,
        intermediate_size=28,
        cross_attention_layers=[1],
    )
    config._attn_implementation = "eager"
    theirs = shaken(modeling.MllamaCrossAttentionDecoderLayer(config, 1))
    sizes = gated_layers.read_mllama_config(config.to_dict())
    ours = moved(sizes, theirs, gated_layers.mllama_names)
    x, context = torch.randn(3, 6, 24), torch.randn(3, 2 * per_image, 24)
    mask = causal_reach(3, 6, 2, per_image) if masked else None
    additive, rows = None, None
    if mask is not None:
        of_images = mask[:, 0, :, ::per_image].float()[..., None]  # [B, L, images, tiles]
        additive, rows = modeling._prepare_cross_attention_mask(of_images, per_image, torch.float32)
    expected = theirs(x, context, additive, None, rows)
    torch.testing.assert_close(ours(x, ours.keys_values(context), None, mask), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("alpha_type", ["float", "vector"])
@pytest.mark.parametrize("qk_norm", [True, False])
@pytest.mark.parametrize("per_image", [5, 3])
@torch.no_grad()
def test_idefics(alpha_type: str, qk_norm: bool, per_image: int) -> None:
    from transformers.models.idefics.modeling_idefics import IdeficsGatedCrossAttentionLayer

    config = transformers.IdeficsConfig(
        hidden_size=24,
        num_attention_heads=4,
        intermediate_size=28,
        qk_layer_norms=qk_norm,
        alpha_type=alpha_type,
        vision_config={"embed_dim": 12},
    )
    config._attn_implementation = "eager"
    theirs = shaken(IdeficsGatedCrossAttentionLayer(config, 0))
    sizes = gated_layers.read_idefics_config(config.to_dict())
    ours = moved(sizes, theirs, gated_layers.idefics_names)
    x, context = torch.randn(3, 6, 24), torch.randn(3, 2 * per_image, 12)
    mask = causal_reach(3, 6, 2, per_image)
    additive = torch.zeros(mask.shape).masked_fill(~mask, LOWEST)
    expected = theirs(
        x,
        image_hidden_states=context,
        image_attention_mask=additive,
        cross_attention_gate=mask.any(-1)[:, 0].float(),
    )
    made_once = ContextMask.of(mask, x.dtype)
    torch.testing.assert_close(ours(x, ours.keys_values(context), None, made_once), expected, atol=1e-5, rtol=1e-5)


def test_another_activation_is_refused() -> None:
    for read in (gated_layers.read_mllama_config, gated_layers.read_idefics_config):
        with pytest.raises(UserError, match="hidden_act 'gelu', but only 'silu'"):
            read({"hidden_act": "gelu"})
