"""Latency: each family is timed for what it can do."""

import math
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from mmbench.config.training import LatencySettings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.family import Task
from mmbench.harness.latency import (
    Texts,
    _interleaved,
    resized,
    resized_sizes,
    seconds_of_task,
    side_near,
)
from tests.harness.knowing import Knowing
from tests.harness.micro_systems import micro_datamodule, micro_settings

PLAN = LatencySettings(repeats=2, warmup=1, tokens=3)


class Embeds(Knowing):
    tasks: ClassVar[frozenset[Task]] = frozenset(("retrieve",))

    @property
    def size_step(self) -> int:
        return 6


class Answers(Knowing):
    tasks: ClassVar[frozenset[Task]] = frozenset(("answer", "choose"))


class Tells(Knowing):
    tasks: ClassVar[frozenset[Task]] = frozenset(("match",))


@pytest.fixture(scope="module")
def datamodule(tmp_path_factory: pytest.TempPathFactory) -> MultimodalDataModule:
    return micro_datamodule(micro_settings(), Path(tmp_path_factory.mktemp("cache")))


def test_what_a_family_cannot_do_is_not_timed(datamodule: MultimodalDataModule) -> None:
    split = datamodule.split("test")
    texts = Texts.of(datamodule, split, 4)
    families = {"embeds": Embeds(datamodule), "answers": Answers(datamodule), "all": Knowing(datamodule)}
    timed = _interleaved(families, split.images([0, 1]), split.sizes([0, 1]), texts, PLAN)
    assert all(len(values) == PLAN.repeats and min(values) > 0 for values in timed.values())
    measures = {name: {measure for system, measure in timed if system == name} for name in families}
    assert measures["embeds"] == {"embed_image_s", "embed_text_s"}
    assert measures["answers"] == {"answer_s"}
    captions = {"first_token_s", "per_token_s", "tokens_per_s", "caption_s"}
    assert measures["all"] == captions | measures["embeds"] | measures["answers"]
    assert families["all"].eos_id == datamodule.tokenizer.eos_id, "texts end again as they did"


def test_a_trial_is_timed_by_what_its_family_can_do(datamodule: MultimodalDataModule) -> None:
    split = datamodule.split("test")
    images, sizes, texts = split.images([0]), split.sizes([0]), Texts.of(datamodule, split, 4)
    for family in (Embeds(datamodule), Answers(datamodule), Knowing(datamodule)):
        for task in ("caption", "answer", "retrieve", ""):
            assert seconds_of_task(family, task, images, sizes, texts, PLAN) > 0
    assert math.isnan(seconds_of_task(Tells(datamodule), "match", images, sizes, texts, PLAN))


def test_the_side_suits_every_family(datamodule: MultimodalDataModule) -> None:
    families = {"four": Knowing(datamodule), "six": Embeds(datamodule)}
    assert side_near(families, 48, 1.0) == 48
    assert side_near(families, 48, 1.3) == 60
    assert side_near(families, 8, 0.1) == 12


def test_sizes_grow_with_the_square() -> None:
    sizes = torch.tensor([[48, 24], [4, 48]])
    assert resized_sizes(sizes, 48, 48, 4).tolist() == sizes.tolist()
    assert resized_sizes(sizes, 48, 96, 4).tolist() == [[96, 48], [8, 96]]
    assert resized_sizes(sizes, 48, 24, 8).tolist() == [[24, 16], [8, 24]]
    assert resized(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), 8).shape == (1, 3, 8, 8)
