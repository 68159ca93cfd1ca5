"""Losses as shares of a step's mean, what trains, and the optimiser's groups."""

from dataclasses import replace

import pytest
import torch

from mmbench.config.settings import Settings
from mmbench.config.training import TrainingSettings
from mmbench.data.batch import IGNORED, Batch, Role, Totals
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.trainee import Losses, Trainee
from tests.families.tiny import Build, built, system_of


def test_losses_are_shares_of_the_whole_step() -> None:
    totals = Totals(caption_tokens=10, answer_tokens=4, pairs=2)
    sums = {"caption": torch.tensor(5.0), "answer": torch.tensor(6.0), "contrastive": torch.tensor(3.0)}
    assert {name: float(value) for name, value in Losses(sums).means(totals).items()} == {
        "caption": 0.5,
        "answer": 1.5,
        "contrastive": 1.5,
    }


def test_an_objective_is_left_out_only_where_the_whole_step_lacks_it() -> None:
    sums = {"caption": torch.tensor(0.0), "answer": torch.tensor(0.0)}
    assert set(Losses(sums).present(Totals(caption_tokens=7)).sums) == {"caption"}


def test_weights_of_the_objectives(build: Build, batch: Batch) -> None:
    family = build("unified")
    output = family.training_step(batch, 0)
    assert set(output) == {"loss", "caption_loss", "answer_loss", "contrastive_loss"}
    by_hand = output["caption_loss"] + output["answer_loss"] + 0.2 * output["contrastive_loss"]
    torch.testing.assert_close(output["loss"].detach(), by_hand)
    assert not any(output[name].requires_grad for name in output if name != "loss")
    family.objective_weights["contrastive"] = 0.0
    assert set(family.training_step(batch, 0)) == {"loss", "caption_loss", "answer_loss"}


@pytest.mark.parametrize("preset", ["early-concat", "vit-classifier", "coattn", "clip", "unified"])
def test_a_step_without_an_example_has_gradients_of_0(
    preset: str, settings: Settings, datamodule: MultimodalDataModule, batch: Batch
) -> None:
    """No captions, no pairs and no frequent answers among the rows."""
    family = built(system_of(preset), settings, datamodule)
    bare = replace(
        batch,
        roles=torch.full_like(batch.roles, Role.PAD),
        labels=torch.full_like(batch.labels, IGNORED),
        classes=torch.full_like(batch.classes, IGNORED),
        totals=Totals(rows=8),
    )
    family.freeze_all_but(["encoder"])
    loss = family.training_step(bare, 0)["loss"]
    assert loss == 0
    loss.backward()
    assert all(p.grad is not None and not bool(p.grad.any()) for p in family.encoder.parameters())
    with torch.no_grad():
        assert family.total(family.loss(bare), bare.totals) == 0


def test_a_loss_of_frozen_parts_alone_has_gradients_of_0(build: Build) -> None:
    family = build("blind")
    total = family.total(Losses({"caption": torch.tensor(6.0)}), Totals(caption_tokens=2))
    assert total == 3
    total.backward()
    assert all(p.grad is not None and not bool(p.grad.any()) for p in family.parameters())


def test_optimizer_decays_matrices_alone_and_knows_each_parts_factor(build: Build) -> None:
    family = build("crossattn")
    family.training_settings = TrainingSettings(learning_rate=3e-4, weight_decay=0.1, betas=(0.8, 0.9))
    family.learning_rate_factor = {"encoder": 0.25}
    trained, frozen = family.freeze_all_but(["cross_attention", "encoder", "heads"])
    assert (trained, frozen) == (["encoder", "heads", "cross_attention"], ["language_model", "gates"])
    optimizer = family.configure_optimizers()
    parts = {id(p): name for name, parameters in family.part_parameters().items() for p in parameters}
    grouped = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            grouped.append(id(parameter))
            assert group["weight_decay"] == (0.1 if parameter.ndim >= 2 else 0.0)
            assert group["factor"] == (0.25 if parts[id(parameter)] == "encoder" else 1.0)
        assert (group["lr"], group["betas"]) == (3e-4, (0.8, 0.9))
    assert sorted(grouped) == sorted(key for key, part in parts.items() if part in trained)


def test_all_means_every_part(build: Build) -> None:
    family = build("hybrid")
    family.freeze_all_but(["connector"])
    assert family.freeze_all_but(["all"]) == (list(family.parts()), [])
    assert all(parameter.requires_grad for parameter in family.parameters())


def test_a_trainee_must_say_what_it_is(batch: Batch) -> None:
    nameless = Trainee({})
    with pytest.raises(NotImplementedError, match="Trainee must name its parts"):
        nameless.parts()
    with pytest.raises(NotImplementedError, match="Trainee must define its loss"):
        nameless.loss(batch)
