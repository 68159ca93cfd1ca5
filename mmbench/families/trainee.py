"""What the harness can train: a LightningModule of named parts with one loss per objective."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import lightning
import torch
from torch import Tensor, nn

from mmbench.config.training import TrainingSettings
from mmbench.data.batch import Batch, Totals

_COUNTED_IN = {
    "caption": "caption_tokens",
    "answer": "answer_tokens",
    "text": "text_tokens",
    "contrastive": "pairs",
    "classify": "classified",
    "match": "pairs",
    "masked_text": "pairs",
    "masked_image": "rows",
    "balance": "rows",
    "router_z": "rows",
}
"""Objective -> the count over the whole step that its sum is divided by."""


@dataclass
class Losses:
    """The losses of one micro-batch, objective by objective, as *sums*.

    Sums, because the mean is over the whole optimiser step: each is divided by the step's global count, so that
    one micro-batch of four and four of one give the same gradient, on one process or several.
    """

    sums: dict[str, Tensor] = field(default_factory=dict)
    """Objective -> summed loss, a scalar."""

    def present(self, totals: Totals) -> "Losses":
        """Without the objectives that the whole step has no example of."""
        return Losses({name: value for name, value in self.sums.items() if getattr(totals, _COUNTED_IN[name])})

    def means(self, totals: Totals) -> dict[str, Tensor]:
        """Objective -> this micro-batch's part of the step's mean loss; the parts of a step add up to it."""
        return {name: value / max(1, getattr(totals, _COUNTED_IN[name])) for name, value in self.sums.items()}


class Trainee(lightning.LightningModule):
    """A module of named parts; which of them train is decided stage by stage by the harness."""

    def __init__(self, objective_weights: Mapping[str, float]) -> None:
        super().__init__()
        self.objective_weights = dict(objective_weights)
        self.training_settings = TrainingSettings()
        self.micro_batches_per_step = 1
        """Micro-batches of one optimiser step over all processes; set by the harness."""
        self.learning_rate_factor: dict[str, float] = {}
        """Part -> factor on the learning rate; set by the harness for the stage."""

    def parts(self) -> dict[str, nn.Module]:
        """Name -> module. A parameter that two of them hold belongs to the later, which is the more special one."""
        raise NotImplementedError(f"{type(self).__name__} must name its parts")

    def part_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Part -> its parameters; each parameter of the parts stands in exactly one."""
        parts = self.parts()
        owner = {parameter: name for name, part in parts.items() for parameter in part.parameters()}
        return {name: [p for p in part.parameters() if owner[p] == name] for name, part in parts.items()}

    def loss(self, batch: Batch) -> Losses:
        """The summed loss of each objective that ``batch`` has data for."""
        raise NotImplementedError(f"{type(self).__name__} must define its loss")

    def total(self, losses: Losses, totals: Totals) -> Tensor:
        """The weighted sum of the mean losses, a scalar.

        A step that has nothing to teach what trains (no row of it has a frequent answer, or a caption) is a step all
        the same: its gradients are 0.
        """
        weighted = [self.objective_weights.get(name, 1.0) * mean for name, mean in losses.means(totals).items()]
        total = torch.stack(weighted).sum() if weighted else torch.zeros((), device=self.device)
        if torch.is_grad_enabled() and not total.requires_grad:
            total = total + sum(0.0 * parameter.sum() for parameter in self.parameters() if parameter.requires_grad)
        return total

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The loss Lightning differentiates, and the means for the log.

        Lightning divides by the number of accumulated batches and averages over processes; the means are already
        shares of the whole step, so both divisions are undone here.
        """
        losses = self.loss(batch)
        parts = {f"{name}_loss": mean.detach() for name, mean in losses.means(batch.totals).items()}
        return {"loss": self.total(losses, batch.totals) * self.micro_batches_per_step, **parts}

    def trained_by(self, names: list[str]) -> list[str]:
        """The parts that a stage trains which names these."""
        return [name for name in self.parts() if name in names or "all" in names]

    def freeze_all_but(self, names: list[str]) -> tuple[list[str], list[str]]:
        """Let only the named parts train (``all``: every one). Returns the (trained, frozen) parts' names."""
        parts = self.part_parameters()
        trained = self.trained_by(names)
        for name, parameters in parts.items():
            for parameter in parameters:
                parameter.requires_grad_(name in trained)
        return trained, [name for name in parts if name not in trained]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW (arXiv 1711.05101) over what trains: one group a part and kind, decay on matrices alone."""
        recipe = self.training_settings
        groups = []
        for name, parameters in self.part_parameters().items():
            trained = [parameter for parameter in parameters if parameter.requires_grad]
            for decay, members in (
                (recipe.weight_decay, [p for p in trained if p.ndim >= 2]),
                (0.0, [p for p in trained if p.ndim < 2]),
            ):
                if members:
                    factor = self.learning_rate_factor.get(name, 1.0)
                    groups.append({"params": members, "weight_decay": decay, "factor": factor})
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.betas[0], recipe.betas[1]))
