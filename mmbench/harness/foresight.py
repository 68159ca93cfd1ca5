"""How many steps a budget buys, found by spending it on the steps' sizes alone, without training."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mmbench.config.budget import Budget
from mmbench.config.model import StageSettings
from mmbench.data.batch import Batch, Totals
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.harness.meter import Meter

MOST_STEPS = 2000
"""Steps of a stage that are gone through one by one; beyond, each is taken to cost what these did on average."""


@dataclass
class StepSize:
    """What decides the cost of one optimiser step."""

    totals: Totals
    """Its counts."""
    shapes: list[str]
    """The shape of each of its micro-batches."""


class StepSizes:
    """The sizes of a training's steps, in order; the same for all systems, and so looked up once."""

    def __init__(self, datamodule: MultimodalDataModule, micro_batch_rows: int) -> None:
        self.datamodule = datamodule
        self.micro_batch_rows = min(micro_batch_rows, datamodule.batch_rows)
        self._known: list[StepSize] = []

    def __getitem__(self, step: int) -> StepSize:
        while len(self._known) <= step:
            batches = [self.batch(len(self._known), part) for part in range(self.num_parts)]
            self._known.append(StepSize(batches[0].totals, [shape_of(batch) for batch in batches]))
        return self._known[step]

    @property
    def num_parts(self) -> int:
        """Micro-batches of a step, over all processes."""
        return -(-self.datamodule.batch_rows // self.micro_batch_rows)

    def batch(self, step: int, part: int) -> Batch:
        """A micro-batch itself."""
        first = part * self.micro_batch_rows
        return self.datamodule.train_batch(step, first, min(self.micro_batch_rows, self.datamodule.batch_rows - first))

    def longest(self) -> tuple[int, int]:
        """(step, part) of the largest micro-batch seen so far."""
        widths = {
            (step, part): int(shape.rpartition("x")[2])
            for step, size in enumerate(self._known)
            for part, shape in enumerate(size.shapes)
        }
        return max(widths, key=lambda key: widths[key])


@dataclass
class StageForesight:
    """What one stage will have spent."""

    steps: int = 0
    """Optimiser steps."""
    flops: float = 0.0
    """Of all of them."""
    device_s: float = 0.0
    """Seconds, if those of a floating-point operation are known."""
    flops_by_shape: dict[str, float] = field(default_factory=dict)
    """Micro-batch shape -> operations of its forward and backward pass."""


def shape_of(batch: Batch) -> str:
    """Rows and padded length of a micro-batch, on which its operations depend."""
    return "x".join(map(str, batch.token_ids.shape))


def foresee(
    sizes: StepSizes,
    stages: list[StageSettings],
    budget: Budget,
    count: Callable[[int, Batch], float],
    seconds_per_flop: list[float],
) -> tuple[Meter, list[StageForesight], bool]:
    """Spend the budget as training does: stage by stage, until each share is spent as closely as steps allow.

    Args:
        sizes: of the steps.
        stages: of the system.
        budget: to be spent.
        count: (stage, batch) -> operations; called for the first micro-batch of each shape in a stage, as in training.
        seconds_per_flop: of each stage; zeros where nothing was measured, and then the budget is not in seconds.

    Returns:
        The meter at the end, the stages, and whether every step was gone through.
    """
    meter = Meter(rows_per_epoch=sizes.datamodule.num_train_images)
    found: list[StageForesight] = []
    # Steps that were gone through; the meter counts those that were foreseen at a rate too.
    visited = 0
    exact, end = True, 0.0
    for index, stage in enumerate(stages):
        end += stage.share
        seen = StageForesight()
        found.append(seen)
        before = Meter(**vars(meter))
        while True:
            size, step_cost = sizes[visited], meter.spent(budget.unit)
            flops = 0.0
            for part, shape in enumerate(size.shapes):
                if shape not in seen.flops_by_shape:
                    seen.flops_by_shape[shape] = count(index, sizes.batch(visited, part))
                flops += seen.flops_by_shape[shape]
            meter.add_step(size.totals, flops, flops * seconds_per_flop[index], 0.0)
            visited += 1
            if meter.has_reached(end, budget, meter.spent(budget.unit) - step_cost):
                break
            if meter.steps - before.steps >= MOST_STEPS:
                exact = False
                _go_on_at_the_same_rate(meter, before, end * budget.amount, budget.unit)
                break
        seen.steps = meter.steps - before.steps
        seen.flops, seen.device_s = meter.flops - before.flops, meter.device_s - before.device_s
    return meter, found, exact


def _go_on_at_the_same_rate(meter: Meter, before: Meter, until: float, unit: str) -> None:
    """Add as many average steps of the stage as bring the meter closest to ``until``."""
    steps = meter.steps - before.steps
    cost = (meter.spent(unit) - before.spent(unit)) / steps
    more = max(0, round((until - meter.spent(unit)) / cost))
    for name in ("steps", "samples", "rows", "tokens", "flops", "device_s"):
        value = getattr(meter, name)
        rate = (value - getattr(before, name)) / steps
        setattr(meter, name, value + (rate * more if isinstance(value, float) else round(rate * more)))
