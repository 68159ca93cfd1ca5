"""A co-attention block with shared directions is LXMERT's cross-modality layer."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.nn.co_attention import CoAttentionBlock
from mmbench.nn.layouts import lxmert
from mmbench.nn.tensor_names import to_ours, to_theirs

transformers = pytest.importorskip("transformers")
modeling = pytest.importorskip("transformers.models.lxmert.modeling_lxmert")


@pytest.fixture
def config() -> Any:
    """A small configuration."""
    return transformers.LxmertConfig(hidden_size=24, num_attention_heads=3, intermediate_size=40)


def test_equals_the_cross_modality_layer(config: Any) -> None:
    torch.manual_seed(0)
    theirs = modeling.LxmertXLayer(config).eval()
    tensors: dict[str, Tensor] = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    sizes = lxmert.read_config(config.to_dict())
    ours = CoAttentionBlock(sizes)
    ours.load_state_dict(to_ours(tensors, lxmert.names(sizes)))
    assert not tensors, "all of theirs is used"

    text, image = torch.randn(3, 5, 24), torch.randn(3, 7, 24)
    real = torch.arange(5) < torch.tensor([[5], [2], [4]])
    additive = (1.0 - real.float())[:, None, None] * torch.finfo(torch.float32).min
    with torch.no_grad():
        expected = theirs(text, additive, image, None)
        found = ours(text, image, text_mask=real)
    torch.testing.assert_close(found[0][real], expected[0][real], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1], expected[1], atol=1e-5, rtol=1e-5)


def test_there_and_back(config: Any) -> None:
    theirs = modeling.LxmertXLayer(config).state_dict()
    sizes = lxmert.read_config(config.to_dict())
    back = to_theirs(to_ours(dict(theirs), lxmert.names(sizes)), lxmert.names(sizes))
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)
    assert lxmert.read_config(lxmert.write_config(sizes)) == sizes


def test_what_has_no_counterpart_is_refused(config: Any) -> None:
    with pytest.raises(ValueError, match="hidden_act is 'relu'"):
        lxmert.read_config(config.to_dict() | {"hidden_act": "relu"})
    with pytest.raises(ValueError, match="shared_directions"):
        lxmert.write_config(CoAttentionBlock.Config(8, 2, 16))
