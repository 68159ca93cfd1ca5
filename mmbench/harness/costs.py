"""What a sample costs each system over rising resolution: FLOPs and parameters, counted on the real modules."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from mmbench.config.model import StageSettings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.family import Family
from mmbench.harness.cell import build
from mmbench.harness.flops import count_step_flops
from mmbench.harness.latency import resized, side_near
from mmbench.harness.opened import open_run
from mmbench.harness.run_files import read_json, write_json

FACTORS = (1.0, 2.0, 3.0)
"""Image sides as factors of the comparison's."""


def count_costs(root: Path) -> None:
    """Write ``costs.json``, a row a system and image size, unless it is there.

    ``flops_per_sample`` are those of training: forward and backward over the first optimiser step's rows, the stages
    weighted by their shares, divided by the step's samples. They depend on no weights and on no machine.
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
            cost = _cost(family, systems[name].stages, opened.datamodule, side)
            rows.append({"system": name, "image_size": side, **cost})
    write_json(opened.files.costs, {"factors": list(FACTORS), "rows": rows})


def _cost(family: Family, stages: list[StageSettings], datamodule: MultimodalDataModule, side: int) -> dict[str, Any]:
    flops, trainable = 0.0, 0
    # Group by group, as large images of a whole step might not fit into memory.
    group = family.training_settings.contrastive_group
    for stage in stages:
        family.freeze_all_but(stage.train)
        trainable = max(trainable, sum(p.numel() for p in family.parameters() if p.requires_grad))
        for first in range(0, datamodule.batch_rows, group):
            batch = datamodule.train_batch(0, first, group)
            larger = replace(batch, images=resized(batch.images, side))
            flops += stage.share * count_step_flops(family, larger) / batch.totals.samples
    cost = family.cost(larger.images[:1])
    return {**cost, "parameters_trainable": trainable, "flops_per_sample": flops}
