"""Connectors hold the weights of Hugging Face's projectors: the same tokens to 1e-5, and the same tensors back."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.nn.connectors import Connector, build_connector, connector_class
from mmbench.nn.connectors.linear import LinearConnector
from mmbench.nn.connectors.merge import MergeConnector
from mmbench.nn.layouts import (
    aria_projector,
    idefics_perceiver,
    linear_projectors,
    llava_projector,
    molmo2_adapter,
    qwen2_vl_merger,
)
from mmbench.nn.tensor_names import Joined, to_ours, to_theirs

transformers = pytest.importorskip("transformers")


def shaken(module: nn.Module) -> nn.Module:
    """With weights in which every part matters, also norms and what starts at 0."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, 1.0 if parameter.dim() == 1 else 0.0, 0.3)
    return module.eval()


def filled(ours: Connector, theirs: nn.Module, names: Iterable[Joined]) -> Connector:
    """``ours`` with the weights of ``theirs``, all of which are used and come back as they were."""
    names = list(names)
    there = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    tensors = dict(there)
    ours.load_state_dict(to_ours(tensors, names))
    assert not tensors, "all of theirs is used"
    back = to_theirs(ours.state_dict(), names)
    assert back.keys() == there.keys()
    assert all(torch.equal(back[name], there[name]) for name in there)
    return ours


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def llava_config(**fields: Any) -> Any:
    vision = transformers.CLIPVisionConfig(hidden_size=12, num_hidden_layers=2, num_attention_heads=2)
    text = transformers.LlamaConfig(hidden_size=20, num_hidden_layers=1, num_attention_heads=2)
    return transformers.LlavaConfig(vision_config=vision, text_config=text, **fields)


@pytest.mark.parametrize(
    ("fields", "in_dim"),
    [
        ({}, 12),
        ({"projector_hidden_act": "silu", "multimodal_projector_bias": False}, 12),
        ({"projector_hidden_act": "linear", "vision_feature_layer": [-2, -1]}, 24),
    ],
)
@torch.no_grad()
def test_llava(fields: dict[str, Any], in_dim: int) -> None:
    from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

    config = llava_config(**fields)
    theirs = shaken(LlavaMultiModalProjector(config))
    options = llava_projector.read_config(config.to_dict())
    ours = build_connector("mlp", in_dim, 20, None, asdict(options))
    filled(ours, theirs, llava_projector.names(options))
    for grid in ((3, 3), (2, 5)):
        tokens = torch.randn(2, grid[0] * grid[1], in_dim)
        assert_same(ours(tokens, grid), theirs(tokens))
    assert llava_projector.read_config(llava_projector.write_config(options)) == options


@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_the_one_layer_of_the_first_llava(bias: bool) -> None:
    from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

    ours = build_connector("linear", 12, 20, None, {"bias": bias})
    written = llava_projector.write_config(LinearConnector.Config(bias=bias))
    options = llava_projector.read_config(written)
    two = {f"connector.{name}": tensor for name, tensor in ours.state_dict().items()}
    two = llava_projector.as_two_layers(two, "connector.")
    theirs = LlavaMultiModalProjector(llava_config(**written))
    theirs.load_state_dict(to_theirs(two, llava_projector.names(options, "connector.")))
    tokens = torch.randn(2, 9, 12)
    assert_same(ours(tokens, (3, 3)), theirs(tokens))


@pytest.mark.parametrize("qk_norm", [True, False])
@torch.no_grad()
def test_idefics_perceiver(qk_norm: bool) -> None:
    from transformers.models.idefics.perceiver import IdeficsPerceiverResampler

    sizes = {"resampler_depth": 3, "resampler_n_heads": 2, "resampler_head_dim": 10, "resampler_n_latents": 5}
    config = transformers.IdeficsConfig(
        use_resampler=True,
        vision_config={"embed_dim": 12},
        perceiver_config={**sizes, "qk_layer_norms_perceiver": qk_norm},
    )
    theirs = shaken(IdeficsPerceiverResampler(config, 12, 3, 2, 10, 5))
    options = idefics_perceiver.read_config(config.to_dict())
    assert options is not None
    ours = build_connector("perceiver", 12, 12, None, asdict(options))
    filled(ours, theirs, idefics_perceiver.names(options))
    for grid in ((3, 3), (2, 7)):
        tokens = torch.randn(2, grid[0] * grid[1], 12)
        assert_same(ours(tokens, grid), theirs(tokens))
    assert idefics_perceiver.read_config(idefics_perceiver.write_config(options)) == options
    assert idefics_perceiver.read_config(idefics_perceiver.write_config(None)) is None


@torch.no_grad()
def test_aria() -> None:
    from transformers.models.aria.modeling_aria import AriaProjector

    config = transformers.AriaConfig(
        vision_config={"model_type": "idefics3_vision", "hidden_size": 12, "num_attention_heads": 3},
        text_config={"hidden_size": 20, "num_attention_heads": 2, "pad_token_id": 0},
        projector_patch_to_query_dict={9: 4, 16: 6},
    )
    theirs = shaken(AriaProjector(config))
    options = aria_projector.read_config(config.to_dict())
    ours = build_connector("query", 12, 20, (3, 3), asdict(options))
    filled(ours, theirs, aria_projector.names(12))
    for grid, num_tokens in (((3, 3), 4), ((4, 4), 6), ((2, 8), 6)):
        tokens = torch.randn(2, grid[0] * grid[1], 12)
        found = ours(tokens, grid)
        assert found.shape[1] == num_tokens
        assert_same(found, theirs(tokens))
    vision = {"vision_config": {"num_attention_heads": 3}}
    assert aria_projector.read_config(aria_projector.write_config(options) | vision) == options


@pytest.mark.parametrize("factor", [2, 3])
@torch.no_grad()
def test_qwen2_vl(factor: int) -> None:
    from transformers.models.qwen2_vl.modeling_qwen2_vl import PatchMerger

    theirs = shaken(PatchMerger(dim=20, context_dim=12, spatial_merge_size=factor))
    options = qwen2_vl_merger.read_config({"spatial_merge_size": factor})
    ours = filled(build_connector("merge", 12, 20, None, asdict(options)), theirs, qwen2_vl_merger.names())
    assert isinstance(ours, MergeConnector)
    packed = torch.randn(5 * factor**2, 12)
    assert_same(ours.merge(packed), theirs(packed))
    rows, columns = 2, 3
    tokens = torch.randn(1, rows * columns * factor**2, 12)
    blocks = tokens.view(rows, factor, columns, factor, 12).transpose(1, 2).reshape(-1, 12)
    assert_same(ours(tokens, (rows * factor, columns * factor))[0], theirs(blocks))
    assert qwen2_vl_merger.read_config(qwen2_vl_merger.write_config(options)) == options


@torch.no_grad()
def test_molmo2() -> None:
    modeling = pytest.importorskip("transformers.models.molmo2.modeling_molmo2")
    processing = pytest.importorskip("transformers.models.molmo2.image_processing_molmo2")
    config = modeling.Molmo2AdapterConfig(
        vision_feature_layer=[1, 0],
        hidden_size=12,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=28,
        text_hidden_size=20,
    )
    theirs = shaken(modeling.Molmo2Adapter(config))
    options = molmo2_adapter.read_config(config.to_dict())
    ours = build_connector("attention_pool", 24, 20, None, asdict(options))
    filled(ours, theirs, molmo2_adapter.names(options))
    for rows, columns in ((4, 4), (2, 6)):
        tokens = torch.randn(2, rows * columns, 24)
        patches = torch.arange(rows * columns).view(rows, columns).numpy()
        windows = torch.as_tensor(processing.arange_for_pooling(torch.as_tensor(patches), 2, 2)[0])
        both = torch.cat((windows, windows + rows * columns))
        expected = theirs(tokens, both).last_hidden_state.view(2, -1, 20)
        assert_same(ours(tokens, (rows, columns)), expected)


@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_one_layer(bias: bool) -> None:
    theirs = nn.Linear(12, 20, bias=bias)
    ours = build_connector("linear", 12, 20, None, {"bias": bias})
    names = list(linear_projectors.names(LinearConnector.Config(bias=bias), "connector.", "vision_embed_tokens."))
    tensors = {f"vision_embed_tokens.{name}": tensor for name, tensor in theirs.state_dict().items()}
    state = to_ours(dict(tensors), names)
    ours.load_state_dict({name.removeprefix("connector."): tensor for name, tensor in state.items()})
    tokens = torch.randn(2, 9, 12)
    assert_same(ours(tokens, (3, 3)), theirs(tokens))
    assert to_theirs(state, names).keys() == tensors.keys()


def test_what_cannot_be_written_is_refused() -> None:
    wide = {"hidden_width": 7}
    with pytest.raises(UserError, match="llava's projector always has the language model's width"):
        llava_projector.write_config(build_config("mlp", wide))
    with pytest.raises(UserError, match="only a perceiver with activation 'relu'"):
        idefics_perceiver.write_config(build_config("perceiver", {}))
    with pytest.raises(UserError, match="with the option 'queries'"):
        aria_projector.write_config(build_config("query", {}))
    with pytest.raises(UserError, match="without the option 'hidden_width'"):
        qwen2_vl_merger.write_config(build_config("merge", wide))
    with pytest.raises(UserError, match="hidden_act 'tanh'"):
        llava_projector.read_config({"projector_hidden_act": "tanh"})
    with pytest.raises(UserError, match="num_key_value_heads 1, but only 2"):
        molmo2_adapter.read_config({"num_attention_heads": 2, "num_key_value_heads": 1})


def build_config(kind: str, options: dict[str, Any]) -> Any:
    """The options of a kind."""
    return connector_class(kind).Config(**options)
