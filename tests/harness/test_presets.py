"""Every preset trains, is killed, goes on, is saved, is read back and does all that its family says it can."""

import dataclasses
from pathlib import Path

import lightning
import pytest
import torch

from mmbench.config.budget import Budget
from mmbench.config.data import RowSettings, ScenesSettings, SourceSettings
from mmbench.config.model import SystemSettings
from mmbench.config.presets import find_preset, preset_names
from mmbench.config.settings import Settings
from mmbench.config.training import TrainerSettings
from mmbench.config.yaml_text import read_yaml
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.example import TEST
from mmbench.families.family import Family
from mmbench.harness.applicable import Ability, not_applicable
from mmbench.harness.evaluate import evaluate_split
from mmbench.harness.run_files import CellFiles
from mmbench.harness.training import restore, train
from tests.families.tiny import ENCODER, IMAGE_SIZE, LANGUAGE_MODEL, built, system_of

STEPS = 4
METRIC_OF = {
    "caption": "cider_d",
    "answer": "vqa_accuracy",
    "choose": "choice_accuracy",
    "match": "match_accuracy",
    "retrieve": "text_to_image_recall@1",
    "text": "text_loss",
}
"""Task -> a metric that it must leave; re-ranking is off unless it is asked for."""


OTHER_NAMES = {
    name: tree["same_as"]
    for name in preset_names("systems")
    if "same_as" in (tree := read_yaml(find_preset("systems", name)))
}
"""Preset -> the one of which it is another name."""


@pytest.fixture(scope="module")
def settings() -> Settings:
    """24 scenes, steps of 4 rows, and answers of two tokens."""
    torch.set_num_threads(1)
    tiny = Settings(image_size=IMAGE_SIZE, encoder=ENCODER, language_model=LANGUAGE_MODEL)
    tiny.data.sources = [SourceSettings(scenes=ScenesSettings(train=24, validation=4, test=4, composition=4))]
    tiny.tokenizer.vocab_size = 300
    tiny.training = dataclasses.replace(
        tiny.training, batch_rows=4, contrastive_group=4, rows=RowSettings(1, 1), checkpoint_share=0.25, log_every=1
    )
    tiny.evaluation = dataclasses.replace(tiny.evaluation, max_caption_tokens=3, max_answer_tokens=2)
    return tiny


@pytest.fixture(scope="module")
def datamodule(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> MultimodalDataModule:
    """The scenes, prepared."""
    module = MultimodalDataModule(settings, tmp_path_factory.mktemp("cache"), seed=0)
    module.prepare_data()
    module.setup()
    return module


class Killed(lightning.Callback):
    """Raises after the second optimiser step of the run, whatever stage that is in."""

    def __init__(self) -> None:
        self.steps = 0

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        """A cell may be killed at any moment; this is one."""
        self.steps += 1
        if self.steps == 2:
            raise InterruptedError


def trained(
    family: Family,
    system: SystemSettings,
    settings: Settings,
    datamodule: MultimodalDataModule,
    root: Path,
    kill: bool = False,
) -> dict[str, torch.Tensor]:
    """Train the cell at ``root``, or go on with it; the weights that it leaves."""
    options = TrainerSettings(accelerator="cpu", precision="32-true", extra={"callbacks": [Killed()] if kill else []})
    # Each stage gets a step at least, however small the share that the preset gives it.
    stages = [dataclasses.replace(stage, share=1 / len(system.stages)) for stage in system.stages]
    train(
        family,
        datamodule,
        CellFiles(root),
        budget=Budget(STEPS, "steps"),
        stages=stages,
        recipe=settings.training,
        trainer_settings=options,
        seed=1,
    )
    weights: dict[str, torch.Tensor] = torch.load(CellFiles(root).weights, weights_only=True)["state_dict"]
    return weights


@pytest.mark.parametrize("name", [name for name in preset_names("systems") if name not in OTHER_NAMES])
def test_preset(name: str, settings: Settings, datamodule: MultimodalDataModule, tmp_path: Path) -> None:
    path = tmp_path / name / "seed0"
    system = system_of(name)
    start = built(system, settings, datamodule).state_dict()
    whole = trained(built(system, settings, datamodule), system, settings, datamodule, tmp_path / "whole" / "seed0")
    assert any(not torch.equal(value, start[key]) for key, value in whole.items()), "training changed nothing"
    with pytest.raises(InterruptedError):
        trained(built(system, settings, datamodule), system, settings, datamodule, path, kill=True)
    resumed = trained(built(system, settings, datamodule), system, settings, datamodule, path)
    for key, value in whole.items():
        assert torch.equal(resumed[key], value), f"{key} differs after an interruption"

    family = built(system, settings, datamodule)
    restore(family, CellFiles(path).weights)
    found = evaluate_split(family, datamodule, TEST, settings, system=name, seed=0)
    for task, metric in METRIC_OF.items():
        scores = found.scores[found.scores["metric"] == metric]["score"]
        assert (len(scores) > 0) == (task in family.tasks), task
        assert bool(scores.notna().all()), metric
    excused = not_applicable(Ability.of(family), datamodule, settings.evaluation)
    for task, metric in METRIC_OF.items():
        assert (metric.partition("@")[0] in excused) == (task not in family.tasks), "what is not scored has a reason"


@pytest.mark.parametrize(("name", "preset"), OTHER_NAMES.items())
def test_other_name(name: str, preset: str) -> None:
    assert system_of(name) == system_of(preset)
