"""Baselines that do not train."""

from collections import Counter
from pathlib import Path

import pytest

from mmbench.config.data import DataSettings, ScenesSettings, SourceSettings
from mmbench.config.settings import Settings
from mmbench.config.training import EvaluationSettings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.example import Question
from mmbench.harness.baselines import chance, evaluate_baseline, majority


@pytest.fixture(scope="module")
def datamodule(tmp_path_factory: pytest.TempPathFactory) -> MultimodalDataModule:
    scenes = ScenesSettings(train=120, validation=8, test=24, composition=0)
    settings = Settings(image_size=32, data=DataSettings(sources=[SourceSettings(scenes=scenes)]))
    settings.tokenizer.vocab_size = 300
    module = MultimodalDataModule(settings, Path(tmp_path_factory.mktemp("cache")), seed=0)
    module.prepare_data()
    module.setup()
    return module


def test_chance_draws_training_answers_by_seed(datamodule: MultimodalDataModule) -> None:
    question = Question("q", "is there a red circle?", ["yes"] * 10, "existence")
    one, same, other = (chance(datamodule, seed) for seed in (0, 0, 1))
    said = [one.say(question) for _ in range(50)]
    assert said == [same.say(question) for _ in range(50)]
    assert said != [other.say(question) for _ in range(50)]
    captions, questions = datamodule.train_texts()
    assert set(said) <= {answer for q in questions for answer in q.answers}
    assert one.say(None) in captions


def test_majority_is_the_most_frequent_answer_of_the_kind(datamodule: MultimodalDataModule) -> None:
    _, questions = datamodule.train_texts()
    say = majority(datamodule).say
    for kind in {q.kind for q in questions}:
        counts = Counter(answer for q in questions if q.kind == kind for answer in q.answers)
        assert counts[say(Question("q", "?", ["x"], kind))] == max(counts.values())


def test_baselines_are_scored_on_every_example(datamodule: MultimodalDataModule) -> None:
    result = evaluate_baseline(
        majority(datamodule), datamodule, "test", EvaluationSettings(), system="majority", seed=0
    )
    split = datamodule.split("test")
    counts = result.scores.groupby("metric").size()
    assert counts["vqa_accuracy"] == sum(len(e.questions) for e in split.examples)
    assert counts["cider_d"] == 24 and counts["text_to_image_recall@5"] == 120
    recall = result.scores[result.scores["metric"] == "image_to_text_recall@1"]["score"]
    assert recall.to_numpy() == pytest.approx(5 / 120)
