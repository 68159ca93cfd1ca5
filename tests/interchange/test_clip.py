"""CLIP of transformers, as a dual encoder."""

from typing import Any

import pytest
import torch

from tests.interchange.agreement import (
    BOS,
    VISION,
    Both,
    both,
    check_round_trip,
    largest_difference_of_dual,
    pictures,
)

transformers = pytest.importorskip("transformers")

LONGEST, END = 10, 119
TEXTS = [[5, 9, 30], [7], [12, 3, 44, 20, 21, 8, 40, 41], [40, 41]]
MODELS: dict[str, dict[str, Any]] = {
    "small": {},
    "other sizes": {
        "text": {"num_hidden_layers": 3, "hidden_act": "gelu", "num_attention_heads": 2},
        "vision": {"patch_size": 16, "hidden_act": "gelu", "num_hidden_layers": 2},
        "projection_dim": 20,
    },
}


def clip(text: dict[str, Any] | None = None, vision: dict[str, Any] | None = None, projection_dim: int = 16) -> Any:
    """A small random model."""
    sizes = {"vocab_size": 120, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "max_position_embeddings": LONGEST, "bos_token_id": BOS, "eos_token_id": END}
    config = transformers.CLIPConfig(
        text_config={**sizes, **(text or {})}, vision_config={**VISION, **(vision or {})}, projection_dim=projection_dim
    )
    return transformers.CLIPModel(config)


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return both(clip(**MODELS[request.param]), tmp_path_factory.mktemp("clip"), eos=END)


def difference(family: Any, theirs: Any) -> float:
    ids = torch.tensor([[BOS, *text, END, *[0] * (LONGEST - 2 - len(text))] for text in TEXTS])
    return largest_difference_of_dual(family, theirs, ids, pictures(3, 32), TEXTS)


def test_embeddings_and_logits_are_theirs(model: Both) -> None:
    assert difference(model.family, model.model) < 1e-4


def test_it_goes_back_as_it_came(model: Both) -> None:
    check_round_trip(model, difference)
