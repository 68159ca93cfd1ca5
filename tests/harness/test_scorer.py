"""What a family is asked of a split."""

import copy
from pathlib import Path

import pytest
import torch

from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.evaluation_split import EvaluationSplit
from mmbench.harness.scorer import Scorer
from mmbench.harness.starting_point import assemble, untrained
from tests.harness.micro_systems import micro_datamodule, micro_settings

SYSTEMS = ["intermediate", "coattn", "unified"]


@pytest.fixture(scope="module")
def settings() -> Settings:
    return untrained(micro_settings(SYSTEMS))


@pytest.fixture(scope="module")
def datamodule(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> MultimodalDataModule:
    return micro_datamodule(settings, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def shouted(datamodule: MultimodalDataModule) -> EvaluationSplit:
    """The test split with choices in capitals and with white space around."""
    split = copy.deepcopy(datamodule.split("test"))
    for example in split.examples:
        for question in example.questions:
            question.choices = [f" {choice.upper()} " for choice in question.choices]
    return split


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_choice_in_another_spelling_is_the_same_choice(
    name: str, settings: Settings, datamodule: MultimodalDataModule, shouted: EvaluationSplit
) -> None:
    family = assemble(settings.systems[name], settings, datamodule, Path()).eval()
    scorer = Scorer(family, datamodule.split("test"), datamodule.tokenizer, settings, datamodule.frequent_answers)
    with torch.inference_mode():
        _, scores = scorer.choices()
        rows, of_shouted = scorer.of(shouted).choices()
        unsaid = Scorer(family, datamodule.split("test"), datamodule.tokenizer, settings).choices()[1]
        unknown = Scorer(family, shouted, datamodule.tokenizer, settings).choices()[1]
    assert scores == of_shouted == unsaid
    assert scores != unknown
    assert all(row["prediction"] == row["prediction"].upper() for row in rows), "what is chosen is quoted as it came"
