"""What a comparison would be, found without training: parameters, operations, steps, memory, time, what is matched."""

import functools
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmbench.config.budget import Budget, parse_budget
from mmbench.config.errors import UserError
from mmbench.config.model import SystemSettings
from mmbench.config.settings import Settings
from mmbench.data.batch import IGNORED, Batch
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.family import Family
from mmbench.harness.flops import count_step_flops
from mmbench.harness.foresight import StageForesight, StepSizes, foresee, shape_of
from mmbench.harness.matching import Matched, match_parameters, trainable_parameters, with_widths
from mmbench.harness.meter import Meter
from mmbench.harness.micro_batch import with_rows_that_fit
from mmbench.harness.opened import cache_dir
from mmbench.harness.precision import device_of
from mmbench.harness.prepare import check_budget
from mmbench.harness.probe import decide, time_step
from mmbench.harness.processes import TaskFailedError
from mmbench.harness.run_files import RunFiles
from mmbench.harness.starting_point import assemble, shared_parts, untrained
from mmbench.nn.attention import attention_kernel, set_attention_kernel

_BYTES_OF_A_MOMENT = 4
"""AdamW keeps two moments, a gradient is one more, each in float32."""


@dataclass
class StagePlan:
    """One stage of one system under one budget."""

    share: float
    """Of the budget."""
    trains: list[str]
    """Parts."""
    frozen: list[str]
    """Parts."""
    parameters_trainable: int
    """Parameters of the parts that train."""
    flops_per_step: float
    """Mean over the stage's steps."""
    steps: int
    """Optimiser steps."""


@dataclass
class SystemPlan:
    """One system under one budget."""

    system: str
    """Its name."""
    budget: Budget
    """What it is to spend."""
    parameters: dict[str, int]
    """``total``, ``trainable`` (of the stage that trains most) and ``active``."""
    stages: list[StagePlan]
    """In order; empty where a budget of seconds was not measured."""
    spent: Meter | None
    """What it will have spent; None where a budget of seconds was not measured."""
    exact: bool
    """Whether every step was gone through; else those of a long stage are taken to cost what its first ones did."""
    memory_bytes: int
    """Predicted peak of the training, see `_memory_bytes`."""
    measured: bool
    """Whether times were measured."""


@dataclass
class Plan:
    """Everything that is known before a comparison is run."""

    systems: list[SystemPlan]
    """System by system, each with every budget."""
    matched: list[Matched]
    """What ``match`` did."""
    decided: dict[str, Any]
    """What the probe decided; empty without one."""


def make_plan(runs: list[Settings], runs_dir: Path, *, probe: bool) -> Plan:
    """Plan one comparison, or a study of several that differ in their budgets alone.

    Texts are read and tokenized as in a run, images are not decoded (a broken one would be left out of a run).

    Args:
        runs: settings, one for each budget.
        runs_dir: where runs lie; only their cache is written to.
        probe: whether a few steps are timed on this machine.

    Raises:
        UserError: the data or a system cannot be used, or not even one contrastive group fits into memory.
    """
    try:
        return _planned(runs, runs_dir, probe)
    except TaskFailedError as error:
        raise UserError(str(error)) from None


def _planned(runs: list[Settings], runs_dir: Path, probe: bool) -> Plan:
    settings = untrained(runs[0])
    files = RunFiles(runs_dir.resolve() / settings.name)
    datamodule = MultimodalDataModule(settings, cache_dir(files), seed=settings.seeds[0], decode=False)
    datamodule.prepare_data()
    datamodule.setup()
    matched: list[Matched] = []
    if settings.match != "none":
        parts_of = functools.partial(shared_parts, datamodule=datamodule, runs_dir=runs_dir)
        matched = match_parameters(settings, parts_of)
        settings.systems = with_widths(settings.systems, matched)
    families = {name: assemble(s, settings, datamodule, runs_dir) for name, s in settings.systems.items()}
    kernel = attention_kernel()
    decided: dict[str, Any] = decide(settings, families, datamodule.train_batch) if probe else {}
    set_attention_kernel(decided.get("attention", kernel))
    rows = int(decided.get("micro_batch_rows") or settings.trainer.micro_batch_rows or settings.training.batch_rows)
    precision = decided.get("precision", settings.trainer.precision)
    sizes = functools.cache(functools.partial(StepSizes, datamodule))
    budgets = [parse_budget(run.budget) for run in runs]
    planned: list[SystemPlan] = []
    for name in list(families):
        family = families.pop(name).cpu()  # the probe has left one on the device
        for run in runs:
            check_budget(name, settings.systems[name], family, replace(settings, budget=run.budget), datamodule)

        def attempt(most_rows: int, name: str = name, family: Family = family) -> list[SystemPlan]:
            family.zero_grad(set_to_none=True)  # what an attempt that ran out of memory has left
            system, device = settings.systems[name], device_of(settings.trainer)
            one = _OneSystem(name, system, family, sizes(most_rows), device, precision)
            return list(one.under(budgets, probe))

        planned += with_rows_that_fit(attempt, rows, settings.training)
    set_attention_kernel(kernel)
    return Plan(planned, matched, decided)


class _OneSystem:
    """A system at its starting point, on the device it would train on."""

    def __init__(
        self,
        name: str,
        system: SystemSettings,
        family: Family,
        sizes: StepSizes,
        device: torch.device,
        precision: str,
    ) -> None:
        self.name, self.system, self.sizes, self.device, self.precision = name, system, sizes, device, precision
        self.base_bytes = _resident_bytes() if device.type == "cpu" else 0
        self.family = family.to(device)
        self.counted: dict[tuple[int, str], tuple[float, int]] = {}
        self.flops_of_a_prediction: dict[int, float] = {}

    def under(self, budgets: list[Budget], probe: bool) -> Iterator[SystemPlan]:
        """The plan under each budget."""
        stages = self.system.stages
        described = [(self.family.freeze_all_but(s.train), trainable_parameters(self.family, s.train)) for s in stages]
        first = self.sizes.batch(0, 0).to(self.device)
        cost = self.family.cost(first.images[:1], first.sizes[:1])
        parameters = {
            "total": cost["parameters_total"],
            "trainable": max((count for _, count in described), default=0),
            "active": cost["parameters_active"],
        }
        speeds = [self._seconds_per_flop(index) if probe else 0.0 for index in range(len(stages))]
        self.sizes[0]
        for budget in budgets:
            spent, exact = None, True
            foreseen: list[StageForesight] = []
            if probe or budget.unit != "s":
                spent, foreseen, exact = foresee(self.sizes, stages, budget, self._flops, speeds)
            planned = [
                StagePlan(stage.share, *parts, count, seen.flops / seen.steps, seen.steps)
                for stage, (parts, count), seen in zip(stages, described, foreseen, strict=False)
            ]
            yield SystemPlan(
                self.name, budget, parameters, planned, spent, exact, self._memory_bytes(parameters["trainable"]), probe
            )

    def _flops(self, stage: int, batch: Batch) -> float:
        """Counted once for each shape: beyond that only the number of predicted tokens matters, and linearly."""
        shape, predicted = (stage, shape_of(batch)), int((batch.labels != IGNORED).sum())
        if shape not in self.counted:
            self.counted[shape] = self._count(stage, batch), predicted
        flops, then_predicted = self.counted[shape]
        if predicted != then_predicted and stage not in self.flops_of_a_prediction:
            one_less = batch.labels.clone()
            one_less.view(-1)[int((one_less.view(-1) != IGNORED).nonzero()[0])] = IGNORED
            less = self._count(stage, replace(batch, labels=one_less))
            self.flops_of_a_prediction[stage] = self._count(stage, batch) - less
        return flops + (predicted - then_predicted) * self.flops_of_a_prediction.get(stage, 0.0)

    def _count(self, stage: int, batch: Batch) -> float:
        self.family.freeze_all_but(self.system.stages[stage].train)
        return count_step_flops(self.family, batch.to(self.device))

    def _seconds_per_flop(self, stage: int) -> float:
        """Of a whole step, optimiser included, on the first micro-batch."""
        batch = self.sizes.batch(0, 0).to(self.device)
        flops = self._count(stage, batch)
        seconds = time_step(self.family, batch, self.precision, self.device, self.family.configure_optimizers())
        return seconds / flops

    def _memory_bytes(self, num_trainable: int) -> int:
        """Weights, gradients and AdamW's two moments of what trains, and what the forward pass keeps for the backward
        pass over the longest micro-batch; on a processor also what the libraries hold."""
        tensors = [*self.family.parameters(), *self.family.buffers()]
        weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        self.family.freeze_all_but([part for stage in self.system.stages for part in stage.train])
        batch = self.sizes.batch(*self.sizes.longest()).to(self.device)
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16-mixed")
        with autocast, _kept(self.family) as kept:
            self.family.total(self.family.loss(batch), batch.totals)
        return self.base_bytes + weights + 3 * _BYTES_OF_A_MOMENT * num_trainable + sum(kept.values())


@contextmanager
def _kept(family: Family) -> Iterator[dict[int, int]]:
    """Address -> bytes of all memory that autograd keeps meanwhile, the weights left out."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in family.parameters()}
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # an address would otherwise be given to another tensor

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept


def _resident_bytes() -> int:
    """Memory of this process now, or at most so far where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
