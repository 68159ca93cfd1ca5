"""Each shipped system has what makes it that system: tokens, layers, what trains when."""

import pytest
import torch
from torch import nn

from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.crossattn import CrossAttn
from mmbench.families.hybrid import Hybrid
from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.families.unified import Unified
from mmbench.nn.native_encoder import NativeEncoder
from mmbench.nn.raw_patches import RawPatches
from tests.families.tiny import built, system_of
from tests.families.vision.pictures import SIZES, pictures

CONNECTOR, GATED = {"connector", "heads"}, {"connector", "cross_attention", "gates", "heads"}
EVERYTHING = {"encoder", "language_model", "connector", "heads"}
STAGES: dict[str, list[set[str]]] = {
    "llava": [CONNECTOR, CONNECTOR | {"language_model"}],
    "llava-1.5": [CONNECTOR, CONNECTOR | {"language_model"}],
    "molmo": [EVERYTHING, EVERYTHING],
    "nvlm-d": [CONNECTOR, CONNECTOR | {"language_model"}],
    "qwen2-vl": [CONNECTOR | {"encoder"}, EVERYTHING, {"language_model", "heads"}],
    "pixtral": [EVERYTHING],
    "mm1.5": [EVERYTHING],
    "aria": [EVERYTHING],
    "baichuan-omni": [CONNECTOR, CONNECTOR | {"encoder"}, EVERYTHING],
    "fuyu": [EVERYTHING - {"encoder"}],
    "gpt-4o-style": [EVERYTHING - {"encoder"}],
    "flamingo": [GATED],
    "llama-3.2-vision": [GATED | {"encoder"}],
    "nvlm-x": [GATED, GATED | {"language_model"}],
    "nvlm-h": [GATED, GATED | {"language_model"}],
}
"""What trains in each stage; all else is frozen."""

TOKENS: dict[str, list[int]] = {
    "llava": [16, 16, 16, 16],  # a square, a wide, a high and a small picture
    "molmo": [10, 4, 8, 2],  # one for each crop and the whole
    "nvlm-d": [10, 6, 10, 4],  # a tag and one token for each tile and the thumbnail
    "qwen2-vl": [4, 2, 2, 1],  # 2 x 2 patches each
    "pixtral": [20, 10, 8, 6],  # a break or the end after each row
    "mm1.5": [20, 12, 20, 8],  # four for each tile and the thumbnail
    "aria": [8, 8, 8, 8],
    "baichuan-omni": [5, 3, 5, 2],
    "fuyu": [20, 10, 8, 6],
    "gpt-4o-style": [16, 16, 16, 16],
    "flamingo": [0, 0, 0, 0],
    "llama-3.2-vision": [0, 0, 0, 0],
    "nvlm-x": [5, 3, 5, 2],  # tags
    "nvlm-h": [9, 7, 9, 6],  # tags and the thumbnail's
}
"""Tokens of each of `SIZES` in the context."""


Families = dict[str, SeeingDecoder]


@pytest.fixture(scope="module")
def families(settings: Settings, datamodule: MultimodalDataModule) -> Families:
    """All shipped systems of the three families."""
    made = {name: built(system_of(name), settings, datamodule) for name in STAGES}
    return {name: family for name, family in made.items() if isinstance(family, SeeingDecoder)}


@pytest.mark.parametrize("name", STAGES)
def test_what_trains_in_each_stage(name: str, families: Families) -> None:
    system = system_of(name)
    trained = [set(families[name].freeze_all_but(stage.train)[0]) for stage in system.stages]
    assert trained == STAGES[name]
    assert sum(stage.share for stage in system.stages) == pytest.approx(1)


@pytest.mark.parametrize("name", TOKENS)
def test_tokens_in_the_context(name: str, families: Families) -> None:
    sight = families[name].see(pictures(), SIZES)
    if sight.prefix is None:
        assert TOKENS[name] == [0] * 4
    elif sight.prefix_mask is None:
        assert TOKENS[name] == [sight.prefix.shape[1]] * 4
    else:
        assert sight.prefix_mask.sum(1).tolist() == TOKENS[name]


def test_parts_that_make_them_what_they_are(families: Families) -> None:
    def unified(name: str) -> Unified:
        found = families[name]
        assert isinstance(found, Unified)
        return found

    def linears(module: nn.Module) -> int:
        return sum(isinstance(part, nn.Linear) for part in module.modules())

    assert linears(unified("llava").connector) == linears(unified("fuyu").connector) == 1
    assert linears(unified("gpt-4o-style").connector) == 1
    assert linears(unified("llava-1.5").connector) == linears(unified("pixtral").connector) == 2
    assert unified("llava").config.layers == [-2]
    assert isinstance(unified("fuyu").encoder, RawPatches)
    assert unified("fuyu").layout.row_positions is None
    assert unified("gpt-4o-style").layout.row_positions is not None
    assert isinstance(unified("pixtral").encoder, NativeEncoder)
    assert isinstance(unified("qwen2-vl").encoder, NativeEncoder)
    assert families["qwen2-vl"].decoder.config.mrope_sections is not None
    assert families["aria"].decoder.auxiliary_losses().keys() == set(), "no forward pass, no losses"
    families["aria"].text_nats([[5, 6]])
    assert families["aria"].decoder.auxiliary_losses().keys() == {"balance", "router_z"}
    assert families["aria"].parameter_counts()["parameters_active"] < families["aria"].num_parameters()


def test_gated_layers_of_the_systems(families: Families) -> None:
    llama, flamingo = families["llama-3.2-vision"], families["flamingo"]
    assert isinstance(llama, CrossAttn)
    assert isinstance(flamingo, CrossAttn)
    assert llama.connector.in_dim == 4 * llama.encoder.dim, "three layers joined to the last"
    assert llama.cross_attention["0"].query_norm is not None
    assert flamingo.cross_attention["0"].query_norm is None
    assert flamingo.cross_attention["0"].has_feed_forward
    assert flamingo.see(pictures()).contexts[0][0].shape[2] == 8, "latents"  # type: ignore[index]


@pytest.mark.parametrize("name", ["nvlm-x", "nvlm-h"])
def test_a_tag_attends_only_to_its_tile(name: str, families: Families) -> None:
    family = families[name]
    assert isinstance(family, CrossAttn | Hybrid)
    sight = family.see(pictures(), SIZES)
    assert sight.prefix_reach is not None
    assert sight.context_mask is not None
    reached = sight.prefix_reach.sum(1)  # by how many tags each token of the context is reached
    assert torch.equal(reached.bool(), sight.context_mask)
    assert int(reached.max()) == 1


@pytest.mark.parametrize(
    ("name", "tokens"), [("llava", 16), ("nvlm-d", 20), ("molmo", 40), ("nvlm-x", 20), ("hybrid", 20), ("fuyu", 16)]
)
def test_image_tokens_are_those_of_all_views(
    name: str, tokens: int, settings: Settings, datamodule: MultimodalDataModule
) -> None:
    family = built(system_of(name), settings, datamodule)
    assert family.cost(datamodule.split("test").images([0]))["image_tokens"] == tokens
