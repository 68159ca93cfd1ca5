"""The counter against counts by hand, for every family and what trains in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.harness.flops import count_step_flops
from mmbench.harness.starting_point import assemble, untrained
from mmbench.nn.attention import set_attention_kernel
from tests.harness import flops_by_hand as by_hand
from tests.harness.flops_by_hand import Sizes, Training
from tests.harness.micro_systems import micro_datamodule, micro_settings

# Sizes that differ wherever two could be mistaken for one another.
OVERRIDES = [
    "image_size=64",
    "encoder.options.embed_dim=24",
    "encoder.options.depth=2",
    "language_model.width=48",
    "language_model.depth=4",
    "language_model.num_heads=4",
    "language_model.num_kv_heads=2",
    "language_model.feed_forward_width=80",
    "training.batch_rows=8",
]
FORMULAS: dict[str, Callable[[Sizes, Training], float]] = {
    "unified": by_hand.unified,
    "crossattn": lambda sizes, trains: by_hand.crossattn(sizes, trains, every=2),
    "hybrid": lambda sizes, trains: by_hand.hybrid(sizes, trains, every=2, factor=2),
}


@pytest.fixture(scope="module")
def settings() -> Settings:
    return micro_settings(overrides=OVERRIDES)


@pytest.fixture(scope="module")
def datamodule(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> MultimodalDataModule:
    return micro_datamodule(settings, tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("kernel", ["sdpa", "plain"])
@pytest.mark.parametrize("trains", [Training(False, False), Training(False, True), Training(True, True)], ids=str)
@pytest.mark.parametrize("name", FORMULAS)
def test_a_step_costs_what_a_count_by_hand_says(
    settings: Settings, datamodule: MultimodalDataModule, tmp_path: Path, name: str, trains: Training, kernel: str
) -> None:
    family = assemble(settings.systems[name], untrained(settings), datamodule, tmp_path)
    batch = datamodule.train_batch(0, 0, 8)
    added = [part for part in family.parts() if part not in ("encoder", "language_model")]
    shared = ["encoder"] * trains.encoder + ["language_model"] * trains.language_model
    family.freeze_all_but([*added, *shared])
    sizes = Sizes(
        rows=8,
        text=batch.token_ids.shape[1],
        supervised=int((batch.labels >= 0).sum()),
        patches=16,
        patch_pixels=3 * 16 * 16,
        encoder_dim=24,
        encoder_depth=2,
        width=48,
        depth=4,
        num_heads=4,
        num_kv_heads=2,
        feed_forward=80,
        vocabulary=datamodule.tokenizer.vocab_size,
        group=4,
    )
    set_attention_kernel("plain" if kernel == "plain" else "sdpa")
    try:
        counted = count_step_flops(family, batch)
    finally:
        set_attention_kernel("sdpa")
    assert counted == pytest.approx(FORMULAS[name](sizes, trains), rel=0.02)
    assert all(parameter.grad is None for parameter in family.parameters())
