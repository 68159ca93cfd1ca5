"""Families by name and by import path, and every mistake in naming one, an option or a part."""

from dataclasses import replace

import pytest

from mmbench.config.errors import UserError
from mmbench.config.model import StageSettings, SystemSettings
from mmbench.config.settings import Settings
from mmbench.config.system import objective_weights
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.family import Family
from mmbench.families.registry import FAMILIES, build_family, family_class
from mmbench.families.unified import Unified
from tests.families.tiny import Build, shared_parts


class Shifted(Unified):
    """A family from outside the package: as unified, with its image tokens in reverse."""


class NoFamily:
    """Not a family."""


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_found_and_says_what_it_is(name: str) -> None:
    found = family_class(name)
    assert issubclass(found, Family)
    assert found.__doc__ and found.__doc__ != Family.__doc__
    assert "Config" in vars(found), "each family has settings of its own"


def test_family_from_outside_by_its_import_path(build: Build) -> None:
    assert isinstance(build(f"{__name__}:Shifted", connector="linear"), Shifted)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unifid", "did you mean 'unified'.*blind, .*unified"),
        ("nowhere.at_all:Thing", "cannot be imported.*package.module:Class"),
        (f"{__name__}:Missing", "cannot be imported"),
        (f"{__name__}:NoFamily", "no subclass of mmbench.families.family.Family"),
        (":Thing", "cannot be imported.*package.module:Class"),
    ],
)
def test_unknown_family(build: Build, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(name)


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("unified", {"conector": "mlp"}, "'conector' in the options of family 'unified'; did you mean 'connector'"),
        ("unified", {"connector": "mpl"}, "unknown connector 'mpl'; did you mean 'mlp'"),
        ("blind", {"every": 2}, "unknown key 'every' in the options of family 'blind'"),
        ("crossattn", {"every": 5}, "'every' is 5; it must be from 1 to 4, for the decoder has a depth of 4"),
        ("crossattn", {"every": "two"}, "'every' in the options of family 'crossattn' is 'two'"),
        ("hybrid", {"every": 0}, "'every' is 0"),
        ("hybrid", {"thumbnail_factor": 1}, "'thumbnail_factor' is 1; a thumbnail is smaller"),
    ],
)
def test_wrong_option(build: Build, family: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(family, **options)


def test_stage_with_an_unknown_part(build: Build) -> None:
    with pytest.raises(UserError, match="part in a stage of family 'unified': 'conector'; did you mean 'connector'"):
        build("unified", stages=[StageSettings(train=["conector"])])
    with pytest.raises(UserError, match="'learning_rate_factor' of family 'unified': 'decoder'"):
        build("unified", stages=[StageSettings(learning_rate_factor={"decoder": 0.1})])
    build("unified", stages=[StageSettings(train=["all"], learning_rate_factor={"connector": 0.1})])


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_without_an_objective_is_refused_where_it_would_train(
    settings: Settings, datamodule: MultimodalDataModule, name: str
) -> None:
    objectives = family_class(name).objectives
    system = SystemSettings(family=name, objectives=dict.fromkeys(objectives, 0.0))
    weights = objective_weights(settings, system)
    with pytest.raises(UserError, match=f"family '{name}' learns by .*{objectives[-1]}, and each has weight 0"):
        build_family(system, shared_parts(settings, datamodule), weights)
    assert build_family(replace(system, stages=[]), shared_parts(settings, datamodule), weights)
    assert build_family(system, shared_parts(settings, datamodule), weights | {objectives[-1]: 0.1})


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("unified", {"connector": "linear", "connector_width": 8}, "a linear connector has no inner width"),
        ("unified", {"connector_width": 0}, "'connector_width' is 0; it must be at least 1"),
        ("hybrid", {"feed_forward_width": 0}, "'feed_forward_width' is 0; it must be at least 1"),
        ("crossattn", {"feed_forward": False, "feed_forward_width": 8}, "the gated layers have no feed-forward"),
    ],
)
def test_wrong_width(build: Build, family: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(family, **options)


@pytest.mark.parametrize("family", ["unified", "crossattn", "hybrid"])
def test_the_width_that_matching_moves_widens_what_is_added(build: Build, family: str) -> None:
    option = family_class(family).matched_width
    sizes = [sum(p.numel() for p in build(family, **{option: width}).parameters()) for width in (8, 9, 10)]
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1] > 0
    shared = [sum(p.numel() for p in build(family, **{option: w}).decoder.parameters()) for w in (8, 9)]
    assert shared[0] == shared[1]
