"""Memory that does not suffice: fewer rows at once, the same steps, and nothing is begun again that was saved."""

import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.config.load import save_settings
from mmbench.config.settings import Settings
from mmbench.config.training import TrainingSettings
from mmbench.families.sight import Sight
from mmbench.families.unified import Unified
from mmbench.harness.cell import train_cell
from mmbench.harness.micro_batch import fewer_rows, with_rows_that_fit
from mmbench.harness.opened import open_run
from mmbench.harness.plan import make_plan
from mmbench.harness.prepare import prepare_data
from mmbench.harness.processes import TaskFailedError
from mmbench.harness.run_files import CellFiles, RunFiles
from tests.harness.micro_systems import micro_settings


class Greedy(Unified):
    """A family of which two rows fit into memory, and more of them only the first ``fitting`` times."""

    fitting: ClassVar[int] = 0
    seen: ClassVar[list[int]] = []

    def see(self, images: Tensor, sizes: Tensor | None = None) -> Sight:
        """As unified, where memory suffices."""
        if torch.is_grad_enabled():
            self.seen.append(len(images))
            if len(images) > 2 and sum(rows > 2 for rows in self.seen) > self.fitting:
                raise torch.OutOfMemoryError("out of memory")
        return super().see(images)


def trained(folder: Path, fitting: int, group: int = 2) -> CellFiles:
    """A cell of 12 steps of 8 rows, with a checkpoint after every third."""
    settings = greedy(group)
    files = RunFiles(folder / "runs" / f"fitting{fitting}")
    Greedy.fitting = fitting
    Greedy.seen.clear()
    save_settings(settings, files.comparison)
    prepare_data(files.root)
    train_cell(open_run(files.root), files.cell("unified", 0))
    return files.cell("unified", 0)


def greedy(group: int = 2) -> Settings:
    """Settings of 12 steps of 8 rows, from nothing."""
    settings = micro_settings(["unified"], name="one", budget="12steps")
    settings.training = replace(
        settings.training,
        batch_rows=8,
        contrastive_group=group,
        checkpoint_share=0.2,
        validation_share=1.0,
        log_every=1,
    )
    settings.pretraining.encoder_steps = settings.pretraining.language_model_steps = 0
    system = settings.systems["unified"]
    settings.systems["unified"] = replace(
        system, family=f"{__name__}:Greedy", stages=[replace(system.stages[1], share=1.0)]
    )
    return settings


@pytest.mark.parametrize("fitting", [0, 14])
def test_out_of_memory_halves_the_rows_and_changes_nothing(tmp_path: Path, fitting: int) -> None:
    expected, cell = trained(tmp_path, 10**6), trained(tmp_path, fitting)
    assert cell.read()["ledger"]["micro_batch_rows"] == 2
    assert expected.read()["ledger"]["micro_batch_rows"] == 8
    for key in ("steps", "samples", "tokens"):
        assert cell.read()["ledger"][key] == expected.read()["ledger"][key], key
    losses = [
        [json.loads(line)["loss"] for line in files.log.read_text().splitlines() if '"loss"' in line]
        for files in (expected, cell)
    ]
    assert len(losses[0]) == 12 and losses[1] == pytest.approx(losses[0], rel=1e-3)
    weights = [torch.load(files.weights, weights_only=True)["state_dict"] for files in (expected, cell)]
    for name, value in weights[1].items():
        torch.testing.assert_close(value, weights[0][name], rtol=1e-2, atol=1e-3)
    small_steps = Greedy.seen.count(2) / 4
    assert (small_steps >= 12) == (fitting == 0), "what the checkpoint holds is not trained again"


def test_the_smallest_micro_batch_is_a_contrastive_group(tmp_path: Path) -> None:
    with pytest.raises(TaskFailedError, match=r"out of memory with 8 rows at once.*contrastive_group \(8\)"):
        trained(tmp_path, 0, group=8)


def test_a_plan_halves_the_rows_as_a_training_does(tmp_path: Path) -> None:
    Greedy.fitting = 0
    Greedy.seen.clear()
    (one,) = make_plan([greedy()], tmp_path, probe=False).systems
    assert one.spent is not None and one.spent.steps == 12
    assert [rows for rows in dict.fromkeys(Greedy.seen) if rows > 1] == [8, 4, 2]
    with pytest.raises(UserError, match=r"out of memory with 8 rows at once.*contrastive_group \(8\)"):
        make_plan([greedy(group=8)], tmp_path, probe=False)


@pytest.mark.parametrize(
    ("batch", "group", "tried"),
    [(64, 8, [64, 32, 16, 8]), (24, 8, [24, 8]), (12, 2, [12, 6, 2]), (40, 4, [40, 20, 8, 4]), (8, 8, [8])],
)
def test_every_number_tried_divides_the_batch_into_whole_groups(batch: int, group: int, tried: list[int]) -> None:
    training = TrainingSettings(batch_rows=batch, contrastive_group=group)
    rows: int | None = batch
    found = []
    while rows is not None:
        found.append(rows)
        rows = fewer_rows(rows, training)
    assert found == tried


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    calls: list[int] = []

    def broken(rows: int) -> None:
        calls.append(rows)
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        with_rows_that_fit(broken, 8, TrainingSettings(batch_rows=8, contrastive_group=2))
    assert calls == [8]
