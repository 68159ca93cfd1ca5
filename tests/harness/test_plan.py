"""What is planned against what a training really does, and a plan of long stages against one gone through."""

from pathlib import Path

import pytest

from mmbench.config.budget import parse_budget
from mmbench.config.errors import UserError
from mmbench.config.model import StageSettings
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.harness import foresight
from mmbench.harness.meter import Meter
from mmbench.harness.plan import Plan, SystemPlan, make_plan
from mmbench.harness.run_files import CellFiles
from mmbench.harness.spending import peak_memory_bytes
from mmbench.harness.starting_point import assemble, untrained
from mmbench.harness.training import train
from tests.harness.micro_systems import FAMILIES, micro_datamodule, micro_settings

BUDGETS = ["400samples", "10101tokens", "1.5epochs", "3.3e9flops"]
COUNTED = ("steps", "samples", "tokens", "rows", "flops")


def settings_of(budget: str, *overrides: str, **asked: str) -> Settings:
    return micro_settings(budget=budget, overrides=["training.contrastive_group=2", *overrides], **asked)


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def plan(runs_dir: Path) -> Plan:
    """Of a study, with micro-batches of half a step."""
    return make_plan([settings_of(text, "trainer.micro_batch_rows=2") for text in BUDGETS], runs_dir, probe=False)


@pytest.fixture(scope="module")
def datamodule(runs_dir: Path) -> MultimodalDataModule:
    """With real images, where the plan has none."""
    return micro_datamodule(settings_of("8steps"), runs_dir / "cache")


def planned(plan: Plan, name: str, budget: str) -> SystemPlan:
    (one,) = [p for p in plan.systems if p.system == name and p.budget == parse_budget(budget)]
    return one


def spent(one: SystemPlan) -> Meter:
    assert one.spent is not None
    return one.spent


@pytest.mark.parametrize("text", BUDGETS)
@pytest.mark.parametrize("name", FAMILIES)
def test_steps_operations_and_parameters_are_those_of_the_training(
    plan: Plan, datamodule: MultimodalDataModule, tmp_path: Path, name: str, text: str
) -> None:
    settings = settings_of(text, "trainer.micro_batch_rows=2", "training.validation_share=1.0")
    system = settings.systems[name]
    family = assemble(system, untrained(settings), datamodule, tmp_path)
    meter, described = train(
        family,
        datamodule,
        CellFiles(tmp_path / name / "seed0"),
        budget=parse_budget(text),
        stages=system.stages,
        recipe=settings.training,
        trainer_settings=settings.trainer,
        seed=0,
    )
    one = planned(plan, name, text)
    assert one.exact
    assert {key: getattr(spent(one), key) for key in COUNTED} == {key: getattr(meter, key) for key in COUNTED}
    assert sum(stage.steps for stage in one.stages) == meter.steps
    for stage, real in zip(one.stages, described, strict=True):
        assert (stage.share, stage.trains, stage.frozen) == (real["share"], real["trains"], real["frozen"])
        assert stage.parameters_trainable == real["parameters_trainable"]
    cost = family.cost(datamodule.split("test").images([0]))
    assert (one.parameters["total"], one.parameters["active"]) == (cost["parameters_total"], cost["parameters_active"])
    # This process holds more than one training: a bound on the order of magnitude alone.
    assert peak_memory_bytes() / 5 < one.memory_bytes < 2 * peak_memory_bytes()


def test_seconds_are_measured_or_said_not_to_be(runs_dir: Path) -> None:
    runs = [settings_of("0.5s", "systems.unified.stages=[{share: 1.0}]", "trainer.precision=auto")]
    assert [one.spent for one in make_plan(runs, runs_dir, probe=False).systems] == [None] * 3
    measured = make_plan(runs, runs_dir, probe=True)
    assert measured.decided["precision"] in ("32-true", "bf16-mixed")
    for one in measured.systems:
        longest = max(stage.steps and spent(one).device_s / spent(one).steps for stage in one.stages)
        assert spent(one).device_s == pytest.approx(0.5, abs=3 * longest)
        assert spent(one).steps > 0


def test_a_long_stage_is_foreseen_from_its_first_steps(
    datamodule: MultimodalDataModule, runs_dir: Path, monkeypatch: pytest.MonkeyPatch, plan: Plan
) -> None:
    monkeypatch.setattr(foresight, "MOST_STEPS", 10)
    short = make_plan([settings_of(text, "trainer.micro_batch_rows=2") for text in BUDGETS], runs_dir, probe=False)
    for one, whole in zip(short.systems, plan.systems, strict=True):
        assert whole.exact and not one.exact
        assert spent(one).steps == pytest.approx(spent(whole).steps, rel=0.1, abs=1)
        for key in ("samples", "tokens", "flops"):
            assert getattr(spent(one), key) == pytest.approx(getattr(spent(whole), key), rel=0.1), key


def test_steps_that_are_not_gone_through_are_not_built(
    datamodule: MultimodalDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foresight, "MOST_STEPS", 10)
    sizes = foresight.StepSizes(datamodule, datamodule.batch_rows)
    stages = [StageSettings(share=0.5), StageSettings(share=0.5)]
    meter, found, exact = foresight.foresee(sizes, stages, parse_budget("1000steps"), lambda *_: 1.0, [0.0, 0.0])
    assert not exact and meter.steps == 1000 and [stage.steps for stage in found] == [500, 500]
    assert len(sizes._known) == 20


def test_matched_systems_are_planned_as_they_will_be_trained(runs_dir: Path) -> None:
    matched = make_plan([settings_of("60steps", match="params")], runs_dir, probe=False)
    totals = {one.system: one.parameters["total"] for one in matched.systems}
    assert max(totals.values()) <= 1.01 * min(totals.values())
    assert totals == {one.system: one.count for one in matched.matched}


def test_nothing_but_the_cache_is_written(plan: Plan, runs_dir: Path) -> None:
    assert [path.name for path in runs_dir.iterdir()] == ["cache"]


def test_a_budget_that_compare_refuses_is_refused(runs_dir: Path) -> None:
    with pytest.raises(UserError, match="budget '8steps' is too small: a stage of system 'unified'"):
        make_plan([settings_of("8steps")], runs_dir, probe=False)
