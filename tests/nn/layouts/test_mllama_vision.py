"""Against Llama 3.2 Vision's vision tower, with images of different numbers of tiles."""

from typing import Any

import pytest
import torch

from mmbench.nn.layouts import mllama_vision
from mmbench.nn.tiled_encoder import TiledEncoder
from tests.nn.layouts.towers import check_both_ways, scrambled

transformers = pytest.importorskip("transformers")

GRIDS = [[2, 1], [1, 1], [2, 2]]


@pytest.mark.parametrize(
    "changed",
    [
        {"image_size": 16, "patch_size": 4, "intermediate_layers_indices": [0, 2]},
        {"image_size": 12, "patch_size": 4, "intermediate_layers_indices": [1], "hidden_act": "quick_gelu"},
        {
            "image_size": 8,
            "patch_size": 2,
            "intermediate_layers_indices": [2, 0, 1],
            "supported_aspect_ratios": [[1, 1], [2, 1], [2, 2], [2, 3]],
            "max_num_tiles": 6,
            "norm_eps": 1e-3,
        },
    ],
)
@torch.no_grad()
def test_all_states(changed: dict[str, Any]) -> None:
    from transformers.models.mllama.configuration_mllama import MllamaVisionConfig
    from transformers.models.mllama.modeling_mllama import MllamaVisionModel

    sizes = {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 3, "num_global_layers": 2}
    width = 32 * (1 + len(changed["intermediate_layers_indices"]))
    config = MllamaVisionConfig(**sizes, attention_heads=2, vision_output_dim=width, **changed)
    tower = scrambled(MllamaVisionModel(config))
    ours = mllama_vision.read_config(config.to_dict())
    tiles = torch.zeros(3, config.max_num_tiles, 3, config.image_size, config.image_size)
    mask = torch.zeros(3, config.max_num_tiles, dtype=torch.bool)
    for row, (rows, columns) in enumerate(GRIDS):
        mask[row, : rows * columns] = True
        tiles[row, : rows * columns].normal_()
    kinds = torch.tensor([[config.supported_aspect_ratios.index(grid) + 1] for grid in GRIDS])

    def outputs(encoder: Any) -> list[torch.Tensor]:
        whole = encoder.forward_tiles(tiles, mask, torch.tensor(GRIDS))
        fewer = encoder.forward_tiles(tiles[:2, :2], mask[:2, :2], torch.tensor(GRIDS[:2]))
        return [whole[mask], fewer[mask[:2, :2]]]

    def expected(theirs: Any) -> list[torch.Tensor]:
        output = theirs(tiles[:, None], aspect_ratio_ids=kinds, aspect_ratio_mask=mask[:, None].long())
        tokens = output.last_hidden_state[:, 0]
        return [tokens[mask], tokens[:2, :2][mask[:2, :2]]]

    check_both_ways(TiledEncoder(ours).eval(), tower, mllama_vision.names(ours), outputs, expected)
    content, written = config.to_dict(), mllama_vision.write_config(ours)
    assert {key: content[key] for key in written} == written


def test_defaults_are_those_of_the_format() -> None:
    from transformers.models.mllama.configuration_mllama import MllamaVisionConfig

    assert mllama_vision.read_config({}) == mllama_vision.read_config(MllamaVisionConfig().to_dict())
