"""Training spends what it is given, goes on after any interruption as if there was none, and says what broke."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor

from mmbench.config.budget import Budget
from mmbench.config.data import RowSettings, ScenesSettings, SourceSettings
from mmbench.config.errors import UserError
from mmbench.config.model import EncoderSettings, StageSettings, SystemSettings
from mmbench.config.settings import Settings
from mmbench.config.training import TrainerSettings, TrainingSettings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.family import Family, SharedParts
from mmbench.families.registry import build_family
from mmbench.harness.failures import NonFiniteLossError, first_non_finite_module
from mmbench.harness.meter import Meter
from mmbench.harness.run_files import CellFiles, read_json
from mmbench.harness.training import restore, train
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import build_encoder

# Dropout, so that a resume must also repeat what is random.
ENCODER = {"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "class_token": False, "global_pool": "avg"}
TWO_STAGES = [StageSettings(0.5, ["connector", "heads"]), StageSettings(0.5, ["all"], {"encoder": 0.1})]
RECIPE = TrainingSettings(
    batch_rows=8, contrastive_group=2, rows=RowSettings(1, 1), checkpoint_share=0.25, validation_share=0.25, log_every=1
)


@pytest.fixture(scope="module")
def datamodule(tmp_path_factory: pytest.TempPathFactory) -> MultimodalDataModule:
    """A few scenes."""
    return new_datamodule(tmp_path_factory.mktemp("cache"))


def new_datamodule(cache: Path, captions: int = 1) -> MultimodalDataModule:
    """A few scenes with questions, and with captions or without."""
    torch.set_num_threads(1)
    settings = Settings(image_size=32, training=dataclasses.replace(RECIPE, rows=RowSettings(captions, 1)))
    source = SourceSettings(scenes=ScenesSettings(train=24, validation=8, test=8, composition=8))
    settings.data.sources = [dataclasses.replace(source, use=["captions", "questions"] if captions else ["questions"])]
    settings.tokenizer.vocab_size = 300
    module = MultimodalDataModule(settings, cache, seed=0)
    module.prepare_data()
    module.setup()
    return module


def new_family(datamodule: MultimodalDataModule, stages: list[StageSettings] | None = None) -> Family:
    """A unified system, always with the same weights."""
    torch.manual_seed(0)
    encoder = build_encoder(EncoderSettings(options={**ENCODER, "proj_drop_rate": 0.1}, weights="random"), 32)
    tokenizer = datamodule.tokenizer
    config = Decoder.Config(tokenizer.vocab_size, width=32, depth=2, num_heads=4, num_kv_heads=2, feed_forward_width=64)
    shared = SharedParts(encoder, Decoder(config), tokenizer.bos_id, tokenizer.eos_id)
    system = SystemSettings(family="unified", stages=stages or [StageSettings()])
    family = build_family(system, shared, {"contrastive": 0.2})
    family.training_settings = RECIPE
    return family


def run(
    family: Family,
    datamodule: MultimodalDataModule,
    root: Path,
    budget: Budget,
    stages: list[StageSettings] | None = None,
    micro_batch_rows: int | None = 4,
    callbacks: list[lightning.Callback] | None = None,
    devices: int = 1,
    **changed: Any,
) -> Meter:
    """Train the cell at ``root``, or go on with it."""
    settings = TrainerSettings(
        accelerator="cpu",
        devices=devices,
        precision="32-true",
        micro_batch_rows=micro_batch_rows,
        extra={"callbacks": callbacks or []},
    )
    meter, _ = train(
        family,
        datamodule,
        CellFiles(root),
        budget=budget,
        stages=stages or [StageSettings()],
        recipe=dataclasses.replace(RECIPE, **changed),
        trainer_settings=settings,
        seed=1,
    )
    return meter


def without_dropout(family: Family) -> Family:
    """Nothing random, for runs that draw in another order."""
    for module in family.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return family


class Interrupt(lightning.Callback):
    """Raises after an optimiser step of a stage, counted within the stage, or at the stage's end."""

    def __init__(self, stage: int, step: int | None) -> None:
        self.stage, self.step = stage, step

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """The cell may be killed at any moment; this is one."""
        if trainer.global_step == self.step and spending_of(trainer).stage == self.stage:
            raise InterruptedError

    def on_train_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """And this is another: all is trained, but no weights are written."""
        if self.step is None and spending_of(trainer).stage == self.stage:
            raise InterruptedError


def spending_of(trainer: lightning.Trainer) -> Any:
    """The callback that spends the budget."""
    return trainer.callbacks[0]  # type: ignore[attr-defined]


def log_of(root: Path) -> list[dict[str, Any]]:
    """The lines of the log without what the clock decides."""
    lines = [json.loads(line) for line in CellFiles(root).log.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("time_s", "samples_per_s")} for line in lines]


def weights_of(root: Path) -> dict[str, Tensor]:
    """The trained weights."""
    weights: dict[str, Tensor] = torch.load(CellFiles(root).weights, weights_only=True)["state_dict"]
    return weights


@pytest.fixture(scope="module")
def uninterrupted(datamodule: MultimodalDataModule, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Meter]:
    """12 steps of 2 micro-batches in two stages, in one go."""
    root = tmp_path_factory.mktemp("runs") / "unified" / "seed0"
    return root, run(new_family(datamodule), datamodule, root, Budget(12, "steps"), TWO_STAGES)


@pytest.mark.parametrize(
    "interruptions",
    [[(0, 2)], [(0, 5)], [(1, 1)], [(1, None)], [(0, 4), (0, None), (1, 4)]],
    ids=str,
)
def test_resumed_equals_uninterrupted(
    datamodule: MultimodalDataModule,
    uninterrupted: tuple[Path, Meter],
    tmp_path: Path,
    interruptions: list[tuple[int, int | None]],
) -> None:
    root = tmp_path / "unified" / "seed0"
    for stage, step in interruptions:
        with pytest.raises(InterruptedError):
            callbacks: list[lightning.Callback] = [Interrupt(stage, step)]
            run(new_family(datamodule), datamodule, root, Budget(12, "steps"), TWO_STAGES, callbacks=callbacks)
        if step is not None:
            with CellFiles(root).log.open("a") as log:
                log.write('{"step": 1')  # what a kill leaves of a line
    meter = run(new_family(datamodule), datamodule, root, Budget(12, "steps"), TWO_STAGES)
    expected_root, expected = uninterrupted
    for name in ("steps", "samples", "rows", "tokens", "flops"):
        assert getattr(meter, name) == getattr(expected, name), name
    assert log_of(root) == log_of(expected_root)
    weights = weights_of(root)
    for name, value in weights_of(expected_root).items():
        assert torch.equal(weights[name], value), name


def test_log_and_progress(uninterrupted: tuple[Path, Meter]) -> None:
    root, meter = uninterrupted
    lines = log_of(root)
    training = [line for line in lines if "loss" in line]
    assert [line["step"] for line in training] == list(range(1, 13))
    assert training[-1]["samples"] == meter.samples == 12 * 8 * 2
    rates = [line["learning_rate"] for line in training]
    assert rates[0] == rates[6] == 0.0, "each stage has a schedule of its own"
    assert max(rates) > 0.9e-3
    validations = [line for line in lines if "validation_loss" in line]
    assert [line["step"] for line in validations] == [3, 6, 9, 12]
    assert {"validation_caption_loss", "validation_answer_loss", "validation_contrastive_loss"} < set(validations[0])
    assert read_json(CellFiles(root).progress)["fraction"] == 1.0
    assert not CellFiles(root).checkpoint.exists()


def test_stages_train_what_they_name(datamodule: MultimodalDataModule, tmp_path: Path) -> None:
    family = new_family(datamodule)
    before = {name: value.clone() for name, value in family.state_dict().items()}
    stages = [StageSettings(1.0, ["connector", "language_model"], {"language_model": 0.0})]
    run(family, datamodule, tmp_path / "s" / "seed0", Budget(3, "steps"), stages)
    for name, value in family.state_dict().items():
        assert torch.equal(value, before[name]) == (not name.startswith("connector")), name


def test_restored_weights_are_the_trained_ones(
    datamodule: MultimodalDataModule, uninterrupted: tuple[Path, Meter]
) -> None:
    family = new_family(datamodule)
    restore(family, CellFiles(uninterrupted[0]).weights)
    for name, value in weights_of(uninterrupted[0]).items():
        assert torch.equal(family.state_dict()[name], value)


@pytest.mark.parametrize("unit", ["samples", "steps", "flops"])
def test_budget_is_met_within_half_a_step(datamodule: MultimodalDataModule, tmp_path: Path, unit: str) -> None:
    amount = {"samples": 75, "steps": 5, "flops": 9e8}[unit]
    stages = [StageSettings(0.3, ["connector"]), StageSettings(0.7)]
    costs: list[float] = []

    class Watch(lightning.Callback):
        def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
            costs.append(spending_of(trainer).meter.spent(unit))

    meter = run(
        new_family(datamodule), datamodule, tmp_path / "s" / "seed0", Budget(amount, unit), stages, 8, [Watch()]
    )
    steps = [after - before for before, after in zip([0.0, *costs], costs, strict=False)]
    assert abs(meter.spent(unit) - amount) <= max(steps) / 2
    assert len(steps) >= 3


def test_seconds_are_met_within_one_step(datamodule: MultimodalDataModule, tmp_path: Path) -> None:
    seconds: list[float] = [0.0]

    class Watch(lightning.Callback):
        def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
            seconds.append(spending_of(trainer).meter.device_s)

    family = new_family(datamodule)
    meter = run(
        family, datamodule, tmp_path / "s" / "seed0", Budget(0.4, "s"), None, 8, [Watch()], validation_share=1.0
    )
    assert abs(meter.device_s - 0.4) <= seconds[-1] - seconds[-2]
    assert meter.steps == len(seconds) - 1 > 1


@pytest.mark.parametrize("withheld", [0.0, 0.5])
def test_micro_batches_change_nothing(datamodule: MultimodalDataModule, tmp_path: Path, withheld: float) -> None:
    trained = []
    for rows in (2, 8):
        family = without_dropout(new_family(datamodule))
        family.modality_dropout = {"image": withheld}
        meter = run(family, datamodule, tmp_path / str(rows) / "seed0", Budget(3, "steps"), None, rows)
        assert meter.samples == 3 * 16
        trained.append(family.state_dict())
    for name, value in trained[0].items():
        torch.testing.assert_close(value, trained[1][name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("rows", "message"), [(3, "3, which does not divide the 8 rows"), (1, "contrastive groups of 2")]
)
def test_micro_batches_that_would_change_the_loss(
    datamodule: MultimodalDataModule, tmp_path: Path, rows: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(new_family(datamodule), datamodule, tmp_path / "s" / "seed0", Budget(3, "steps"), None, rows)


SCRIPT = """
import sys
from pathlib import Path
import test_training as t

cache, root, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
datamodule = t.new_datamodule(cache, captions=int(kind == "flops"))
budget = t.Budget(8e8, "flops") if kind == "flops" else t.Budget(4, "steps")
family = t.without_dropout(t.new_family(datamodule))
t.run(family, datamodule, root, budget, t.TWO_STAGES, 2, devices=2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["flops", "questions"])
def test_two_processes_train_as_one(tmp_path: Path, kind: str) -> None:
    """With a budget that each process counts in its own batches, and with data that leaves the heads unused."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[2]}"}
    command = [sys.executable, str(script), str(tmp_path), str(tmp_path / "two" / "seed0"), kind]
    subprocess.run(command, env=environment, check=True, timeout=120, capture_output=True)
    datamodule = new_datamodule(tmp_path, captions=int(kind == "flops"))
    budget = Budget(8e8, "flops") if kind == "flops" else Budget(4, "steps")
    run(without_dropout(new_family(datamodule)), datamodule, tmp_path / "one" / "seed0", budget, TWO_STAGES, 2)
    weights = weights_of(tmp_path / "two" / "seed0")
    losses = [[line["loss"] for line in log_of(tmp_path / name / "seed0") if "loss" in line] for name in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    # Padding differs with what each process holds, and with it the operations, the fraction spent and the rate.
    tolerance = 1e-4 if kind == "flops" else 1e-5
    for name, value in weights_of(tmp_path / "one" / "seed0").items():
        torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=tolerance)


def test_loss_that_is_no_number(datamodule: MultimodalDataModule, tmp_path: Path) -> None:
    family = new_family(datamodule)
    calls: list[int] = []

    def break_later(module: torch.nn.Module, inputs: Any, output: Tensor) -> Tensor:
        calls.append(1)
        return output * float("nan") if len(calls) > 8 else output

    family.get_submodule("connector.mlp.down").register_forward_hook(break_later)
    with pytest.raises(
        NonFiniteLossError, match=r"module 'connector\.mlp\.down'; the batch begins with train-.*#caption"
    ):
        run(family, datamodule, tmp_path / "s" / "seed0", Budget(20, "steps"), validation_share=1.0)
    assert all(bool(torch.isfinite(parameter).all()) for parameter in family.parameters())


def test_weights_that_are_no_numbers(datamodule: MultimodalDataModule) -> None:
    family = new_family(datamodule)
    with torch.no_grad():
        family.get_parameter("decoder.norm.weight")[0] = float("inf")
    assert "weights 'decoder.norm.weight'" in first_non_finite_module(family, datamodule.train_batch(0, 0, 8))
