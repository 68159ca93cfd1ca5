"""Every claim that ships can be read, resolved and built; what a claim's file can have wrong is refused in words."""

import json
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mmbench.claims.claim import ARM, load_claim, names_of
from mmbench.claims.library import Asked, find_claims, runs_of, shipped_claims
from mmbench.config.baselines import BLIND
from mmbench.config.errors import UserError
from mmbench.config.load import load_settings, settings_difference
from mmbench.config.model import SystemSettings
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.example import TEST
from mmbench.data.scenes.vocabulary import KINDS
from mmbench.families.family import Family
from mmbench.harness.applicable import MEASURED, Ability, not_applicable, to_score
from mmbench.harness.cell import system_settings
from mmbench.harness.starting_point import assemble, untrained

SHIPPED = shipped_claims()
RUN = {path: claim for path, claim in SHIPPED.items() if not claim.needs}

OWN = """
number: 40
title: Mine
prediction: One is better than the other.
systems: {a: {preset: unified}, b: {preset: crossattn, options: {every: 1}}}
rules: [{rule: better, system: a, than: b, metric: vqa_accuracy}]
"""


@cache
def few_scenes(data: str, image_size: int) -> MultimodalDataModule:
    """A claim's data and canvas, with a few scenes."""
    settings: Settings = load_settings(["unified"], overrides=[f"image_size={image_size}", f"data={data}"])
    settings.data.sources[0].scenes.train = 60
    settings.data.sources[0].scenes.validation = settings.data.sources[0].scenes.test = 30
    settings.data.sources[0].scenes.composition = 0
    with tempfile.TemporaryDirectory() as cache_dir:
        module = MultimodalDataModule(settings, Path(cache_dir), seed=0)
        module.prepare_data()
        module.setup()
    return module


def measured(family: Family, datamodule: MultimodalDataModule, settings: Settings) -> set[str]:
    """The metrics that a run scores such a system by, example by example."""
    ability = Ability.of(family)
    left_out = not_applicable(ability, datamodule, settings.evaluation)
    steps = [step for step, reason in to_score(ability, datamodule, settings.evaluation).items() if not reason]
    return {name for step in steps for name in MEASURED[step] if name not in left_out} - {"bleu_4"}


def test_the_twelve_claims_and_the_side_findings_are_there() -> None:
    assert [claim.number for claim in SHIPPED.values()] == list(range(1, 15))
    assert {claim.number for claim in RUN.values()} == {*range(1, 15)} - {9, 11, 12}
    for path, claim in SHIPPED.items():
        assert path.stem.startswith(f"{claim.number:02d}-"), path
        assert claim.source and claim.prediction.endswith("."), path
        assert path.read_text(encoding="utf-8").startswith("#"), f"{path} says at its head what was decided and why"


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_a_claim_is_dry_run(path: Path, tmp_path: Path) -> None:
    """At its own scale its systems are resolved and built, all that it gives included, and learn from a batch; and its
    runs score what its rules name."""
    claim = RUN[path]
    has: dict[str, set[str]] = {}
    for arm, settings in runs_of(claim, Asked()).items():
        assert len(settings.seeds) == claim.seeds >= 3
        assert settings.baselines == claim.baselines
        datamodule = few_scenes(json.dumps(asdict(settings.data), sort_keys=True), settings.image_size)
        suffix = f"{ARM}{arm}" if arm else ""
        for name in claim.baselines:
            blind = assemble(system_settings(settings, name), untrained(settings), datamodule, tmp_path)
            has[name + suffix] = measured(blind, datamodule, settings)
        for name, system in settings.systems.items():
            _gives_what_the_claim_says(system, claim.systems[name])
            family = assemble(system, untrained(settings), datamodule, tmp_path)
            for stage in system.stages:
                trained, frozen = family.freeze_all_but(stage.train)
                assert trained, f"{name} trains nothing"
                assert ("language_model" in frozen) == (
                    "language_model" not in stage.train and "all" not in stage.train
                )
            losses = family.loss(datamodule.train_batch(0, 0, settings.training.contrastive_group))
            assert all(bool(value.isfinite()) for value in losses.sums.values())
            has[name + suffix] = measured(family, datamodule, settings)
    assert set(has) == set(names_of(claim)) and claim.baselines in ([], [BLIND])
    for rule in claim.rules:
        for name in filter(None, (rule.system, rule.than)):
            if rule.metric:
                base, _, kind = rule.metric.partition("/")
                assert base in has[name] and kind in ("", *KINDS), f"no '{rule.metric}' of {name}"
            if rule.rule in ("unchanged", "loses"):
                assert "text_loss" in has[name]


def _gives_what_the_claim_says(system: SystemSettings, choice: dict[str, Any]) -> None:
    resolved = asdict(system)
    for key, given in choice.items():
        if key == "stages":
            assert [stage["train"] for stage in resolved[key]] == [stage["train"] for stage in given]
        elif isinstance(given, dict):
            assert resolved[key].items() >= given.items()


def test_the_arms_of_any_resolution_differ_in_what_is_shown_and_are_tested_on_the_same_pictures() -> None:
    claim = next(claim for claim in SHIPPED.values() if claim.number == 10)
    arms = runs_of(claim, Asked())
    modules = {
        arm: few_scenes(json.dumps(asdict(settings.data), sort_keys=True), settings.image_size)
        for arm, settings in arms.items()
    }
    assert len({module.dataset.fingerprint for module in modules.values()}) == 1
    shown = {arm: module.split(TEST).sizes(list(range(30))) for arm, module in modules.items()}
    assert {tuple(size) for size in shown["native"].tolist()} == {(96, 96), (96, 48), (48, 96)}
    assert bool((shown["fixed"] == 48).all()) and bool((shown["fixed-large"] == 84).all())
    for arm in ("fixed", "fixed-large"):
        differing = {line.partition(":")[0] for line in settings_difference(arms["native"], arms[arm])}
        assert differing == {"image_size", "data.layout"}


def test_claims_that_ask_for_the_same_share_a_run() -> None:
    by_number = {claim.number: claim for claim in SHIPPED.values()}
    one, four, five = (runs_of(by_number[number], Asked())[""].name for number in (1, 4, 5))
    assert one == four != five
    assert len({settings.name for settings in runs_of(by_number[8], Asked()).values()}) == 2


def test_the_command_line_changes_all_claims() -> None:
    claim = next(claim for claim in SHIPPED.values() if claim.number == 5)
    (settings,) = runs_of(claim, Asked(budget="7steps", seeds=5)).values()
    assert settings.budget == "7steps" and settings.seeds == [0, 1, 2, 3, 4]
    assert settings.systems["linear"].options["connector"] == "linear"
    assert settings.systems["mlp"].options["connector"] == "mlp"


def test_a_claim_gives_whatever_a_system_can_have(tmp_path: Path) -> None:
    """Mappings are joined with the preset's, all else replaces it."""
    path = tmp_path / "own.yaml"
    given = """{preset: qwen2-vl, encoder: {options: {dim: 64, depth: 2}}, language_model: {depth: 3},
      lora: {rank: 4}, modality_dropout: {image: 0.5}, objectives: {contrastive: 0}, options: {connector_width: 96},
      stages: [{train: [lora, connector]}], paper: Mine}"""
    path.write_text(OWN.replace("{preset: unified}", given))
    (settings,) = runs_of(load_claim(path), Asked()).values()
    a = settings.systems["a"]
    assert a.encoder.pop("options") == {"dim": 64, "depth": 2}
    assert a.encoder == {"library": "native", "name": "qwen2-vl", "weights": "contrastive"}
    assert a.language_model == {"mrope_sections": "auto", "depth": 3}
    assert (a.lora.rank, a.lora.alpha, a.modality_dropout) == (4, 16, {"image": 0.5})
    assert a.objectives == {"contrastive": 0} and a.paper == "Mine"
    assert a.options == {"views": "native", "connector": "merge", "connector_width": 96}
    assert [stage.train for stage in a.stages] == [["lora", "connector"]]


def test_the_frozen_language_model_of_claim_2_stays_frozen() -> None:
    claim = next(claim for claim in SHIPPED.values() if claim.number == 2)
    (settings,) = runs_of(claim, Asked()).values()
    assert all("language_model" not in stage.train for stage in settings.systems["crossattn-frozen"].stages)
    assert any("all" in stage.train for stage in settings.systems["unified"].stages)


def test_claims_are_found_by_number_name_and_path(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(OWN)
    found = find_claims(["5", "01-crossattn-costs-less", str(own)])
    assert [claim.number for claim in found.values()] == [5, 1, 40]
    assert find_claims([]) == SHIPPED
    with pytest.raises(UserError, match="unknown claim '77'"):
        find_claims(["77"])
    with pytest.raises(UserError, match="there is no file"):
        find_claims([str(tmp_path / "none.yaml")])


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("number: 40", "number: 0", "'number' is 0"),
        ("title: Mine", "title: ''", "'title' is empty"),
        ("rules: [", "rulez: [", "unknown key 'rulez'"),
        ("rule: better", "rule: best", "rules.0.rule"),
        ("than: b", "than: c", "unknown system in 'rules.0.than'"),
        ("than: b", "than: a", "against itself"),
        ("than: b, ", "", "'better' needs one"),
        (", metric: vqa_accuracy", "", "'better' needs one"),
        ("rule: better", "rule: cheaper", "'cheaper' has no use for one"),
        ("rule: better", "rule: not_worse", "smallest difference that would matter"),
        ("vqa_accuracy", "vqa_accuracy, margin: -1", "0 or more"),
        ("vqa_accuracy", "vqa_accuracy, decides: false", "none of its rules decides"),
        ("systems: {a: {preset: unified}, b: {preset: crossattn, options: {every: 1}}}", "", "no systems or no rules"),
        ("preset: unified", "preset: unified, optoins: {}", "did you mean 'systems.a.options'"),
        ("preset: unified", "preset: unified, lora: {rank: four}", "'systems.a.lora.rank'"),
        ("preset: unified", "same_as: unified", "give the preset as 'preset'"),
        ("{a: {preset", "{blind: {preset", "baseline's name"),
        ("number: 40", "number: 40\nbaselines: [deaf]", "unknown baseline 'deaf'"),
    ],
)
def test_what_is_wrong_with_a_claim_is_said(old: str, new: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    assert old in OWN
    path.write_text(OWN.replace(old, new, 1))
    with pytest.raises(UserError) as error:
        load_claim(path)
    assert words in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("preset: unified", "preset: unifeid", "did you mean 'unified'"),
        ("preset: unified", "preset: unified, modality_dropout: {sound: 0.5}", "sound"),
        ("number: 40", "number: 40\nsettings: [training.learning_rat=1]", "training.learning_rate"),
        ("number: 40", "number: 40\nbudget: 5apples", "5apples"),
    ],
)
def test_what_a_claim_names_wrongly_is_said_before_anything_runs(
    old: str, new: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(OWN.replace(old, new, 1))
    with pytest.raises(UserError, match=words):
        runs_of(load_claim(path), Asked())
