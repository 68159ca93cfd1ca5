"""Against Qwen2-VL's vision tower, several images of different sizes at once, in its order of patches."""

from typing import Any

import pytest
import torch

from mmbench.config.errors import UserError
from mmbench.nn.layouts import qwen2_vl_vision
from mmbench.nn.native_encoder import NativeEncoder
from tests.nn.layouts.towers import check_both_ways, scrambled

transformers = pytest.importorskip("transformers")


def _as_they_take_it(images: torch.Tensor, sizes: list[list[int]], patch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches of both frames, in the order of the 2 x 2 neighbourhoods, and their grids in time, height and width."""
    rows: list[torch.Tensor] = []
    for image, (height, width) in zip(images, sizes, strict=True):
        for top in range(0, height, 2 * patch):
            for left in range(0, width, 2 * patch):
                for y, x in ((0, 0), (0, patch), (patch, 0), (patch, patch)):
                    square = image[:, top + y : top + y + patch, left + x : left + x + patch]
                    rows.append(torch.stack((square, square), 1).flatten())
    return torch.stack(rows), torch.tensor([[1, height // patch, width // patch] for height, width in sizes])


@pytest.mark.parametrize(
    "changed",
    [
        {"patch_size": 4},
        {"patch_size": 2, "num_heads": 4, "embed_dim": 48, "mlp_ratio": 2, "hidden_act": "gelu"},
        {"patch_size": 4, "rope_parameters": {"rope_type": "axial", "rope_theta": 100.0}},
    ],
)
@torch.no_grad()
def test_hidden_states(changed: dict[str, Any]) -> None:
    from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
    from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel

    config = Qwen2VLVisionConfig(**{"embed_dim": 32, "num_heads": 2, "depth": 2, "hidden_size": 24, **changed})
    tower = scrambled(Qwen2VisionTransformerPretrainedModel(config))
    ours = qwen2_vl_vision.read_config(config.to_dict())
    images, sizes = torch.randn(3, 3, 32, 32), [[32, 16], [8, 24], [24, 32]]
    patches, grids = _as_they_take_it(images, sizes, config.patch_size)
    packed = NativeEncoder(ours).forward_packed(images, torch.tensor(sizes))
    torch.testing.assert_close(packed.grids, grids[:, 1:])

    def outputs(encoder: Any) -> list[torch.Tensor]:
        return [encoder.forward_packed(images, torch.tensor(sizes), layer).tokens for layer in (0, 1, 2)]

    def expected(theirs: Any) -> list[torch.Tensor]:
        return list(theirs(patches, grid_thw=grids, output_hidden_states=True).hidden_states)

    check_both_ways(
        NativeEncoder(ours).eval(), tower, qwen2_vl_vision.names(ours), outputs, expected, not_ours="merger."
    )
    written = Qwen2VLVisionConfig(**qwen2_vl_vision.write_config(ours, out_dim=24))
    assert {**written.to_dict(), "model_type": config.model_type} == config.to_dict()


def test_defaults_are_those_of_the_format() -> None:
    from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig

    assert qwen2_vl_vision.read_config({}) == qwen2_vl_vision.read_config(Qwen2VLVisionConfig().to_dict())


def test_other_neighbourhoods_cannot_be_read() -> None:
    with pytest.raises(UserError, match="spatial_merge_size 4, but only 2"):
        qwen2_vl_vision.read_config({"spatial_merge_size": 4})


def test_widths_that_are_no_multiples_cannot_be_written() -> None:
    config = qwen2_vl_vision.read_config({"embed_dim": 32, "num_heads": 2})
    config.feed_forward_width = 100
    with pytest.raises(UserError, match="feed_forward_width is 100, but in 'qwen2_vl' it can only be 96"):
        qwen2_vl_vision.write_config(config, out_dim=24)
