"""Scoring by task: what a family can do and the data has; all else has a reason."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import save_file

from mmbench.config.errors import UserError
from mmbench.config.model import StageSettings
from mmbench.config.settings import Settings
from mmbench.config.training import EvaluationSettings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.family import Family, Task
from mmbench.harness.applicable import (
    RECALLS,
    UNTRAINED_ABILITY,
    Ability,
    check_decisive,
    data_tasks,
    not_applicable,
)
from mmbench.harness.baselines import chance, evaluate_baseline, majority
from mmbench.harness.evaluate import evaluate_split
from mmbench.harness.foils import foils
from mmbench.harness.starting_point import assemble, untrained
from mmbench.harness.tables import right_choice
from tests.harness.knowing import Knowing
from tests.harness.micro_systems import micro_datamodule, micro_settings

EVERYTHING = EvaluationSettings(rerank=8, without_image=True, probe=True, batch_size=7, max_caption_tokens=64)


@pytest.fixture(scope="module")
def settings() -> Settings:
    found = replace(untrained(micro_settings()), evaluation=EVERYTHING)
    found.training.rows.max_text_tokens = 96  # no caption is cut, so that no two begin alike
    return found


@pytest.fixture(scope="module")
def datamodule(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> MultimodalDataModule:
    """Scenes with a label and choices for every image and question."""
    module = micro_datamodule(settings, tmp_path_factory.mktemp("cache"))
    for split in module.dataset.splits.values():
        for number, example in enumerate(split.examples):
            example.label = ("red", "blue", "green")[number % 3]
            for question in example.questions:
                question.choices = [question.answers[0], "first", "second", "third"]
    return module


def means(frame: pd.DataFrame) -> dict[str, float]:
    return {str(name): float(mean) for name, mean in frame.groupby("metric")["score"].mean().items()}


def evaluated(family: Family, datamodule: MultimodalDataModule, settings: Settings) -> pd.DataFrame:
    return evaluate_split(family, datamodule, "test", settings, system="it", seed=0).scores


def test_what_a_family_knows_is_what_it_scores(settings: Settings, datamodule: MultimodalDataModule) -> None:
    family = Knowing(datamodule)
    result = evaluate_split(family, datamodule, "test", settings, system="it", seed=0)
    found = means(result.scores)
    assert found["choice_accuracy"] == found["match_accuracy"] == found["zero_shot_accuracy"] == 1.0
    assert found["linear_probe_accuracy"] == 1.0
    assert found["vqa_accuracy_without_image"] == 0.0 < 0.9 < found["vqa_accuracy"]
    counts = result.scores.groupby("metric").size()
    split = datamodule.split("test")
    assert counts["zero_shot_accuracy"] == counts["linear_probe_accuracy"] == len(split)
    assert counts["choice_accuracy"] == counts["vqa_accuracy"] == sum(len(e.questions) for e in split.examples)
    rows = result.predictions
    assert (rows.loc[rows["task"] == "answer without image", "prediction"] == "").all()
    chosen = rows[rows["task"] == "choose"]
    assert [[said] for said in chosen["prediction"]] == [list(right) for right in chosen["references"]]


def test_likelihood_orders_the_candidates_of_the_embeddings(
    settings: Settings, datamodule: MultimodalDataModule
) -> None:
    """The embeddings tell nothing: a query finds its own among the 8 candidates by chance, and then puts it first. The
    length of a caption, which decides its likelihood, must not decide which one is found for an image."""
    scores = evaluated(Knowing(datamodule), datamodule, settings)
    found = means(scores)
    for way in ("text_to_image", "image_to_text"):
        assert found[f"reranked_{way}_recall@1"] == pytest.approx(found[f"reranked_{way}_recall@5"], abs=0.06)
        assert found[f"reranked_{way}_recall@1"] > 1.5 * found[f"{way}_recall@1"]
    assert "reranked_text_to_image_recall@10" not in found, "of 8 candidates, none has a place beyond the eighth"
    whole = replace(settings, evaluation=replace(EVERYTHING, rerank=10_000))
    every = means(evaluated(Knowing(datamodule), datamodule, whole))
    assert every["reranked_text_to_image_recall@10"] == every["reranked_image_to_text_recall@5"] == 1.0


def test_scores_do_not_depend_on_the_batch_and_an_image_is_seen_once(
    settings: Settings, datamodule: MultimodalDataModule
) -> None:
    family = assemble(settings.systems["unified"], settings, datamodule, Path())
    large = evaluated(family, datamodule, replace(settings, evaluation=replace(EVERYTHING, batch_size=64)))
    small = evaluated(family, datamodule, settings)
    keys = ["metric", "example_id"]
    assert (large[keys] == small[keys]).all().all()
    assert np.isclose(large["score"], small["score"], atol=1e-3).mean() > 0.99
    knowing = Knowing(datamodule)
    only = replace(settings, evaluation=EvaluationSettings(batch_size=1000))
    evaluate_split(knowing, datamodule, "test", only, system="it", seed=0)
    assert knowing.images_seen == 5 * len(datamodule.split("test")), "captions, answers, choices, matches, embeddings"


def test_progress_rises_to_one(settings: Settings, datamodule: MultimodalDataModule) -> None:
    told: list[float] = []
    evaluate_split(Knowing(datamodule), datamodule, "test", settings, system="it", seed=0, progress=told.append)
    assert told == sorted(told) and told[-1] == 1.0 and len(told) > len(set(map(int, told))) + 8


def test_a_blind_family_has_no_more_than_chance(settings: Settings, datamodule: MultimodalDataModule) -> None:
    blind = replace(settings.systems["unified"], family="blind", options={}, stages=[])
    family = assemble(blind, settings, datamodule, Path())
    found = means(evaluated(family, datamodule, settings))
    assert found["match_accuracy"] == 0.5
    assert found["vqa_accuracy"] == found["vqa_accuracy_without_image"]
    assert found["zero_shot_accuracy"] == pytest.approx(1 / 3)
    reasons = not_applicable(Ability.of(family), datamodule, EVERYTHING)
    assert reasons["linear_probe_accuracy"] == "the family reads no image by itself"
    assert "linear_probe_accuracy" not in found


class OnlyAnswers(Knowing):
    tasks: ClassVar[frozenset[Task]] = frozenset(("answer",))


def test_what_a_family_cannot_do_is_neither_tried_nor_zero(
    settings: Settings, datamodule: MultimodalDataModule
) -> None:
    scores = evaluated(OnlyAnswers(datamodule), datamodule, settings)
    assert set(scores["metric"]) == {"vqa_accuracy", "vqa_accuracy_without_image", "linear_probe_accuracy"}
    reasons = not_applicable(Ability.of(OnlyAnswers(datamodule)), datamodule, EVERYTHING)
    assert reasons["cider_d"] == reasons["bleu_4"] == "the family writes no captions"
    assert reasons["text_loss"] == "no language model"
    assert reasons["reranked_image_to_text_recall"] == "the family cannot order candidates anew"
    assert not set(reasons) & set(scores["metric"])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"stages": []}, "no stage trained its heads"),
        ({"stages": [StageSettings(train=["connector"])]}, "no stage trained its heads"),
        ({"objectives": {"contrastive": 0.0}}, "its objective 'contrastive' is off"),
    ],
)
def test_what_a_system_has_not_learned_is_not_scored(
    settings: Settings, datamodule: MultimodalDataModule, changed: dict[str, Any], reason: str
) -> None:
    family = assemble(replace(settings.systems["unified"], **changed), settings, datamodule, Path())
    reasons = not_applicable(Ability.of(family), datamodule, EVERYTHING)
    of_heads = {*RECALLS, *(f"reranked_{name}" for name in RECALLS), "zero_shot_accuracy"}
    assert {name for name, words in reasons.items() if words == reason} == of_heads
    scored = {name.partition("@")[0] for name in evaluated(family, datamodule, settings)["metric"]}
    assert not scored & of_heads and {"match_accuracy", "cider_d"} <= scored
    asked = replace(settings, deciding=replace(settings.deciding, pair=["it", "b"], metric="text_to_image_recall@5"))
    with pytest.raises(UserError, match=f"'it' cannot be decided on text_to_image_recall@5: {reason}"):
        check_decisive("it", family, datamodule, asked)


def test_weights_that_hold_the_heads_were_learned_before(
    settings: Settings, datamodule: MultimodalDataModule, tmp_path: Path
) -> None:
    trained = assemble(settings.systems["unified"], settings, datamodule, Path()).state_dict()
    imported = {name: tensor for name, tensor in trained.items() if not name.startswith("heads.")}
    for name, weights, able in (("trained", trained, True), ("imported", imported, False)):
        save_file(weights, tmp_path / name)
        system = replace(settings.systems["unified"], stages=[], weights=str(tmp_path / name))
        assert ("retrieve" in assemble(system, settings, datamodule, Path()).able()) == able


def test_every_metric_has_a_score_or_a_reason(settings: Settings, datamodule: MultimodalDataModule) -> None:
    for family in (Knowing, OnlyAnswers):
        scored = {name.partition("@")[0] for name in evaluated(family(datamodule), datamodule, settings)["metric"]}
        reasons = set(not_applicable(Ability.of(family(datamodule)), datamodule, EVERYTHING))
        assert not scored & reasons
        ours = {"bleu_4", "text_loss_before"}  # made of predictions, and before training
        assert len((scored | reasons) - ours) == 14


def test_what_the_data_has_not_is_said_before_what_the_family_cannot(settings: Settings, tmp_path: Path) -> None:
    plain = micro_datamodule(settings, tmp_path)
    for split in plain.dataset.splits.values():
        for example in split.examples:
            example.label = ""
            for question in example.questions:
                question.choices = []
    reasons = not_applicable(Ability.of(OnlyAnswers(plain)), plain, EVERYTHING)
    assert reasons["choice_accuracy"] == "the data has no multiple-choice questions"
    assert reasons["zero_shot_accuracy"] == reasons["linear_probe_accuracy"] == "the data has no labels"
    assert "choose" not in data_tasks(plain) and "classify" not in data_tasks(plain)
    assert "linear_probe_accuracy" not in not_applicable(Ability.of(OnlyAnswers(plain)), plain, EvaluationSettings())


def test_baselines_have_the_values_of_chance(settings: Settings, datamodule: MultimodalDataModule) -> None:
    drawn = evaluate_baseline(chance(datamodule, 0), datamodule, "test", EVERYTHING, system="chance", seed=0).scores
    found = means(drawn)
    assert set(drawn.loc[drawn["metric"] == "choice_accuracy", "score"]) == {0.25}
    assert set(drawn.loc[drawn["metric"] == "match_accuracy", "score"]) == {0.5}
    for name in ("zero_shot_accuracy", "linear_probe_accuracy"):
        assert drawn.loc[drawn["metric"] == name, "score"].to_numpy() == pytest.approx(1 / 3)
    for way in ("text_to_image", "image_to_text"):
        assert found[f"reranked_{way}_recall@5"] == found[f"{way}_recall@5"]
    assert found["vqa_accuracy"] == found["vqa_accuracy_without_image"]
    reasons = not_applicable(UNTRAINED_ABILITY, datamodule, EVERYTHING)
    assert set(reasons) == {"exact_match", "exact_match_without_image", "text_loss", "text_loss_before"}


def test_majority_chooses_what_training_says_most_often(datamodule: MultimodalDataModule) -> None:
    baseline = majority(datamodule)
    question = next(q for e in datamodule.split("test").examples for q in e.questions)
    scores = baseline.weigh(replace(question, choices=["never said", question.answers[0]]))
    assert scores[0] == 0.0 < scores[1]
    assert baseline.prefer(["red", "purple"]) == [32.0, 0.0]


def test_a_foil_is_of_another_image_and_never_true() -> None:
    captions = [(image, text) for image, texts in enumerate(["ab", "ac", "bd", "e"]) for text in texts]
    found = foils(captions)
    assert found == foils(captions)
    for (image, _), place in zip(captions, found, strict=True):
        assert place is not None
        other, text = captions[place]
        assert other != image and text not in {t for i, t in captions if i == image}
    assert foils([(0, "a"), (1, "a")]) == [None, None]


def test_the_right_choice_is_what_most_people_answered(datamodule: MultimodalDataModule) -> None:
    question = next(q for e in datamodule.split("test").examples for q in e.questions)
    assert right_choice(replace(question, choices=["one", "2", "a cat"], answers=["Two", "two", "cat"])) == 1


def test_a_system_that_cannot_be_decided_on_is_refused(settings: Settings, datamodule: MultimodalDataModule) -> None:
    asked = replace(settings, deciding=replace(settings.deciding, pair=["it", "other"], metric="cider_d"))
    with pytest.raises(UserError, match="'it' cannot be decided on cider_d: the family writes no captions"):
        check_decisive("it", OnlyAnswers(datamodule), datamodule, asked)
    check_decisive("it", Knowing(datamodule), datamodule, asked)
    check_decisive("third", OnlyAnswers(datamodule), datamodule, asked)
    tuned = replace(settings, tuning=replace(settings.tuning, trials=2, metric="text_to_image_recall@5"))
    with pytest.raises(UserError, match="cannot be tuned by text_to_image_recall@5: the family embeds no images"):
        check_decisive("it", OnlyAnswers(datamodule), datamodule, tuned)
