"""Everything a family needs, tiny: an encoder, a decoder, rendered scenes, and a function that builds any family."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.config.data import RowSettings, ScenesSettings, SourceSettings
from mmbench.config.model import StageSettings, SystemSettings
from mmbench.config.settings import Settings
from mmbench.data.batch import Batch
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.prompts import question_prompt
from mmbench.families.family import Family
from tests.families.tiny import ENCODER, IMAGE_SIZE, LANGUAGE_MODEL, QUESTIONS, Build, built


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def settings() -> Settings:
    """A comparison on 24 training scenes and 8 of each other split, with steps of 8 rows."""
    tiny = Settings(image_size=IMAGE_SIZE, encoder=ENCODER, language_model=LANGUAGE_MODEL)
    tiny.data.sources = [SourceSettings(scenes=ScenesSettings(train=24, validation=8, test=8, composition=8))]
    tiny.tokenizer.vocab_size = 300
    tiny.training.batch_rows = 8
    tiny.training.contrastive_group = 2
    tiny.training.rows = RowSettings(captions=2, questions=2, max_text_tokens=32)
    return tiny


@pytest.fixture(scope="session")
def datamodule(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> MultimodalDataModule:
    """The scenes, prepared."""
    module = MultimodalDataModule(settings, tmp_path_factory.mktemp("cache"), seed=0)
    module.prepare_data()
    module.setup()
    return module


@pytest.fixture(scope="session")
def batch(datamodule: MultimodalDataModule) -> Batch:
    """The first step: 8 rows of captions, questions and contrastive pairs."""
    return datamodule.train_batch(0, 0, 8)


@pytest.fixture
def images(datamodule: MultimodalDataModule) -> Tensor:
    """Three different test images."""
    return datamodule.split("test").images(range(3))


@pytest.fixture
def prompts(datamodule: MultimodalDataModule) -> list[list[int]]:
    """Three prompts of three lengths."""
    return [datamodule.tokenizer.encode(question_prompt(question)) for question in QUESTIONS]


@pytest.fixture
def build(settings: Settings, datamodule: MultimodalDataModule) -> Build:
    """``build(name, **options)``: a family on its own copy of always the same parts, its gates opened on request."""

    def make(name: str, stages: list[StageSettings] | None = None, open_gates: bool = False, **options: Any) -> Family:
        system = SystemSettings(family=name, options=options, stages=stages or [StageSettings()])
        return built(system, settings, datamodule, open_gates)

    return make
