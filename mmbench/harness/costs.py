"""What a sample costs each system over rising resolution: FLOPs and parameters, counted on the real modules."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from mmbench.config.model import StageSettings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.example import TEST
from mmbench.families.family import Family
from mmbench.harness.cell import build
from mmbench.harness.flops import count_step_flops
from mmbench.harness.latency import resized, resized_sizes, side_near, step_of
from mmbench.harness.matching import trainable_parameters
from mmbench.harness.opened import open_run
from mmbench.harness.run_files import read_json, write_json

FACTORS = (1.0, 2.0, 3.0)
"""Image sides as factors of the comparison's."""
_ROWS = 64
"""Rows that are counted, in whole steps: texts differ in length, so that one small step says little."""


def count_costs(root: Path) -> None:
    """Write ``costs.json``, a row a system and image size, unless it is there.

    ``flops_per_sample`` are those of training: forward and backward over the rows of the first optimiser steps, the
    stages weighted by their shares, divided by the samples. They depend on no weights and on no machine.
    """
    opened = open_run(root)
    if opened.files.costs.exists() and read_json(opened.files.costs)["factors"] == list(FACTORS):
        return
    systems = opened.settings.systems
    families = {name: build(opened, system) for name, system in systems.items()}
    rows = []
    for factor in FACTORS:
        side = side_near(families, opened.settings.image_size, factor)
        for name, family in families.items():
            cost = _cost(family, systems[name].stages, opened.datamodule, side, step_of(families))
            rows.append({"system": name, "image_size": side, **cost})
    write_json(opened.files.costs, {"factors": list(FACTORS), "rows": rows})


def _cost(
    family: Family, stages: list[StageSettings], datamodule: MultimodalDataModule, side: int, step_px: int
) -> dict[str, Any]:
    def at_side(sizes: Tensor) -> Tensor:
        return resized_sizes(sizes, datamodule.settings.image_size, side, step_px)

    flops, trainable = 0.0, 0
    steps = range(math.ceil(_ROWS / datamodule.batch_rows))
    samples = sum(datamodule.train_batch(step, 0, 1).totals.samples for step in steps)
    # Group by group, as large images of a whole step might not fit into memory.
    group = family.training_settings.contrastive_group
    places = [(step, first) for step in steps for first in range(0, datamodule.batch_rows, group)]
    for stage in stages:
        trainable = max(trainable, trainable_parameters(family, stage.train))
        for step, first in places:
            batch = datamodule.train_batch(step, first, group)
            larger = replace(batch, images=resized(batch.images, side), sizes=at_side(batch.sizes))
            flops += stage.share * count_step_flops(family, larger)
    split = datamodule.split(TEST)
    cost = family.cost(resized(split.images([0]), side), at_side(split.sizes([0])))
    return {**cost, "parameters_trainable": trainable, "flops_per_sample": flops / samples}
