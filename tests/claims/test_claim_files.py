"""Every claim that ships can be read, resolved and built; what a claim's file can have wrong is refused in words."""

from pathlib import Path

import pytest

from mmbench.claims.claim import load_claim, names_of
from mmbench.claims.library import Asked, find_claims, runs_of, shipped_claims
from mmbench.config.data import ScenesSettings
from mmbench.config.errors import UserError
from mmbench.config.load import load_settings
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.registry import build_family
from mmbench.harness.starting_point import shared_parts, untrained

SHIPPED = shipped_claims()
RUN = {path: claim for path, claim in SHIPPED.items() if not claim.needs}

OWN = """
number: 40
title: Mine
prediction: One is better than the other.
systems: {a: {preset: unified}, b: {preset: crossattn, options: {every: 1}}}
rules: [{rule: better, system: a, than: b, metric: vqa_accuracy}]
"""


@pytest.fixture(scope="module")
def datamodule(tmp_path_factory: pytest.TempPathFactory) -> MultimodalDataModule:
    """A few scenes at the size of `tiny`."""
    settings: Settings = load_settings(["unified"])
    settings.data.sources[0].scenes = ScenesSettings(train=24, validation=8, test=8, composition=0)
    module = MultimodalDataModule(settings, tmp_path_factory.mktemp("cache"), seed=0)
    module.prepare_data()
    module.setup()
    return module


def test_the_twelve_claims_and_the_side_findings_are_there() -> None:
    assert [claim.number for claim in SHIPPED.values()] == list(range(1, 15))
    assert {claim.number for claim in RUN.values()} >= {1, 2, 3, 4, 5, 13}
    for path, claim in SHIPPED.items():
        assert path.stem.startswith(f"{claim.number:02d}-"), path
        assert claim.source and claim.prediction.endswith("."), path
        assert path.read_text(encoding="utf-8").startswith("#"), f"{path} says at its head what was decided and why"


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_a_claim_is_dry_run(path: Path, datamodule: MultimodalDataModule, tmp_path: Path) -> None:
    """Its systems are resolved at its own scale and built, stages and options included."""
    claim = RUN[path]
    for settings in runs_of(claim, Asked()).values():
        assert len(settings.seeds) == claim.seeds >= 3
        assert settings.baselines == claim.baselines
        for name, system in settings.systems.items():
            shared = shared_parts(untrained(settings), datamodule, tmp_path)
            family = build_family(system, shared, {})
            for key, value in claim.systems[name].options.items():
                assert system.options[key] == value
            for stage in system.stages:
                trained, frozen = family.freeze_all_but(stage.train)
                assert trained, f"{name} trains nothing"
                assert ("language_model" in frozen) == (
                    "language_model" not in stage.train and "all" not in stage.train
                )
    for rule in claim.rules:
        assert {rule.system, rule.than or rule.system} <= set(names_of(claim))


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
