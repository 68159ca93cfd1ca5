"""What a search space may name, and what each mistake in one is told."""

from pathlib import Path
from typing import Any

import pytest

from mmbench.config.errors import UserError
from mmbench.config.load import load_settings
from mmbench.config.presets import preset_names
from mmbench.config.settings import Settings
from mmbench.config.space import check_tuning, current_values, read_space, space_of, with_values

RATE = {"kind": "float", "low": 1e-4, "high": 1e-2, "log": True}


@pytest.fixture(scope="module")
def plain() -> Settings:
    return load_settings(["unified", "crossattn"])


def tuned(plain: Settings, space: dict[str, Any], **changed: Any) -> Settings:
    settings = with_values(plain, {})
    settings.tuning.trials, settings.tuning.space = 4, space
    for key, value in changed.items():
        setattr(settings.tuning, key, value)
    return settings


@pytest.mark.parametrize("name", preset_names("spaces"))
def test_every_shipped_space_fits_every_system(name: str, plain: Settings) -> None:
    check_tuning(tuned(plain, read_space(name)), compared=True)


def test_a_space_is_the_same_for_what_is_shared_and_follows_what_a_system_has(plain: Settings) -> None:
    every = {"kind": "int", "low": 1, "high": 2}
    space = {"training.learning_rate": RATE, "system.options.every": every}
    assert space_of(space, plain, "unified") == {"training.learning_rate": RATE}
    assert space_of(space, plain, "crossattn") == {
        "training.learning_rate": RATE,
        "systems.crossattn.options.every": every,
    }
    assert space_of(space, plain, "blind") == {"training.learning_rate": RATE}


def test_values_become_settings_of_a_copy(plain: Settings) -> None:
    values = {"training.learning_rate": 3e-4, "systems.crossattn.options.every": 1, "budget": "10steps"}
    changed = with_values(plain, values)
    assert changed.training.learning_rate == 3e-4
    assert changed.systems["crossattn"].options["every"] == 1
    assert changed.budget == "10steps" and plain.budget != "10steps"
    assert plain.systems["crossattn"].options["every"] == 2
    space = {key: RATE for key in values}
    assert current_values(changed, space) == values


def test_a_system_whose_name_has_a_dot(plain: Settings) -> None:
    settings = load_settings(["llava-1.5=unified"])
    space = {"system.stages.1.learning_rate_factor.encoder": {"kind": "float", "low": 0.1, "high": 1.0}}
    (key,) = space_of(space, settings, "llava-1.5")
    assert with_values(settings, {key: 0.7}).systems["llava-1.5"].stages[1].learning_rate_factor["encoder"] == 0.7


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({}, "is empty"),
        ({"training.learning_rat": RATE}, "did you mean 'training.learning_rate'"),
        ({"learning_rate": RATE}, "did you mean 'training.learning_rate'"),
        ({"training.learning_rate": 0.1}, "must be a section with a kind"),
        ({"training.learning_rate": {"kind": "flaot"}}, "did you mean 'float'"),
        ({"training.learning_rate": {"kind": "float", "low": 0.1}}, "has no 'high'"),
        ({"training.learning_rate": {**RATE, "lgo": True}}, "unknown field of 'training.learning_rate'"),
        ({"training.learning_rate": {**RATE, "low": 0.1}}, "low must be below high"),
        ({"training.learning_rate": {**RATE, "low": 0}}, "low must be above 0"),
        ({"training.learning_rate": {**RATE, "low": "1"}}, "must be a number"),
        ({"training.log_every": {"kind": "int", "low": 1.5, "high": 3}}, "must be a whole number"),
        ({"training.warmup_share": {"kind": "categorical", "choices": []}}, "at least one value"),
        ({"training.warmup_share": {"kind": "categorical", "choices": ["much"]}}, "training.warmup_share"),
        ({"image_size": {"kind": "int", "low": 32, "high": 64}}, "cannot be searched"),
        ({"training.rows.max_text_tokens": {"kind": "int", "low": 8, "high": 64}}, "cannot be searched"),
        ({"training.validation_share": {"kind": "float", "low": 0.1, "high": 0.5}}, "cannot be searched"),
        ({"training.checkpoint_share": {"kind": "float", "low": 0.1, "high": 0.5}}, "cannot be searched"),
        ({"training.log_every": {"kind": "int", "low": 1, "high": 5}}, "cannot be searched"),
        ({"system.family": {"kind": "categorical", "choices": ["unified"]}}, "cannot be searched"),
        ({"system.options.evry": RATE}, "did you mean 'system.options.every'"),
        ({"systems.hybrid.options.every": RATE}, "unknown key of the search space"),
        ({"training.batch_rows": {"kind": "int", "low": 4, "high": 8}}, "the same for all its systems"),
    ],
)
def test_a_mistake_is_named(plain: Settings, space: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_tuning(tuned(plain, space), compared=True)


def test_what_does_not_go_together(plain: Settings) -> None:
    space = {"training.objectives.caption": {"kind": "float", "low": 0.5, "high": 2.0}}
    with pytest.raises(UserError, match="another --metric"):
        check_tuning(tuned(plain, space), compared=False)
    check_tuning(tuned(plain, space, metric="cider_d", pruner="none"), compared=False)
    rate = {"training.learning_rate": RATE}
    with pytest.raises(UserError, match="one metric alone"):
        check_tuning(tuned(plain, rate, cost="flops", pruner="none"), compared=True)
    for changed in ({"pruner": "median"}, {"pruner": "none", "sampler": "cmaes"}):
        with pytest.raises(UserError, match="one objective alone"):
            check_tuning(tuned(plain, rate, cost="flops", **changed), compared=False)


def test_a_space_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown search space 'defualt'; did you mean 'default'"):
        read_space("defualt")
    with pytest.raises(UserError, match="no search space file"):
        read_space(str(tmp_path / "none.yaml"))
    broken = tmp_path / "broken.yaml"
    broken.write_text("training.learning_rate: {kind: float\n")
    with pytest.raises(UserError, match="malformed YAML"):
        read_space(str(broken))
