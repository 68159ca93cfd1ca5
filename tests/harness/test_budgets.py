"""Every kind of budget is spent by every family to within 1% or half a step (seconds: 3% or one step)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import pytest

from mmbench.config.budget import parse_budget
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.harness.run_files import CellFiles
from mmbench.harness.starting_point import assemble, untrained
from mmbench.harness.training import train
from tests.harness.micro_systems import FAMILIES, micro_datamodule, micro_settings

BUDGETS = ["355samples", "10101tokens", "1.3epochs", "31steps", "3.3e9flops", "0.6s"]


@pytest.fixture(scope="module")
def settings() -> Settings:
    return micro_settings(overrides=["training.validation_share=1.0", "training.checkpoint_share=1.0"])


@pytest.fixture(scope="module")
def datamodule(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> MultimodalDataModule:
    return micro_datamodule(settings, tmp_path_factory.mktemp("cache"))


class Watch(lightning.Callback):
    """Notes what was spent after each step."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.spent = [0.0]

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """The first callback is the one that spends."""
        self.spent.append(trainer.callbacks[0].meter.spent(self.unit))  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", BUDGETS)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_budget_is_spent(
    settings: Settings, datamodule: MultimodalDataModule, tmp_path: Path, name: str, text: str
) -> None:
    budget, system = parse_budget(text), settings.systems[name]
    watch = Watch(budget.unit)
    meter, _ = train(
        assemble(system, untrained(settings), datamodule, tmp_path),
        datamodule,
        CellFiles(tmp_path / name / "seed0"),
        budget=budget,
        stages=system.stages,
        recipe=settings.training,
        trainer_settings=replace(settings.trainer, extra={"callbacks": [watch]}),
        seed=0,
    )
    costs = [after - before for before, after in zip(watch.spent, watch.spent[1:], strict=False)]
    share, steps = (0.03, 1.0) if budget.unit == "s" else (0.01, 0.5)
    allowed = max(share * budget.amount, steps * max(costs))
    assert abs(meter.spent(budget.unit) - budget.amount) <= allowed
    assert meter.steps == len(costs)
    if budget.unit != "s":  # a busy machine may take long for a step
        assert meter.steps >= 20, "there are many steps, so that one more or less would be seen"


def test_what_is_counted_as_a_token_and_as_an_epoch(datamodule: MultimodalDataModule) -> None:
    """Tokens: all that is not padding. An epoch: each training image once."""
    batch = datamodule.train_batch(0, 0, 4)
    assert batch.totals.tokens == int((batch.segments > 0).sum()) > int((batch.labels >= 0).sum()) > 0
    rows = datamodule.num_train_images
    seen = [datamodule.train_batch(step, 0, 4) for step in range(rows // 4)]
    assert rows == 96 and sum(one.totals.rows for one in seen) == rows
    images = {sample.partition("#")[0] for one in seen for sample in one.sample_ids if "#" in sample}
    assert len(images) == rows
