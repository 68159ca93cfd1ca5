"""The two pretrainings learn, and keep what they read apart."""

import pytest
import torch

from mmbench.data.batch import IGNORED, Role
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.starting_point import ContrastivePretraining, TextPretraining
from mmbench.families.trainee import Trainee
from tests.families.tiny import Build


def trainee(kind: str, build: Build, datamodule: MultimodalDataModule) -> tuple[Trainee, MultimodalDataModule]:
    """The trainee and the data of a pretraining, in steps of 8 rows."""
    parts = build("unified")
    if kind == "text":
        return TextPretraining(parts.decoder, parts.bos_id), datamodule.with_mode("text")
    return ContrastivePretraining(parts.encoder, parts.decoder, parts.bos_id, 8), datamodule.with_mode("pairs")


@pytest.mark.parametrize("kind", ["text", "contrastive"])
def test_learns_and_reaches_every_parameter(kind: str, build: Build, datamodule: MultimodalDataModule) -> None:
    learner, data = trainee(kind, build, datamodule)
    optimizer = learner.configure_optimizers()
    batch = data.train_batch(0, 0, 8)
    losses = []
    for _ in range(8):
        output = learner.training_step(batch, 0)
        optimizer.zero_grad()
        output["loss"].backward()
        optimizer.step()
        losses.append(float(output[f"{kind}_loss"]))
    assert losses[-1] < 0.9 * losses[0]
    assert [name for name, p in learner.named_parameters() if p.grad is None or not bool(p.grad.any())] == []
    assert {id(p) for part in learner.parts().values() for p in part.parameters()} == set(map(id, learner.parameters()))


def test_language_model_reads_as_the_text_loss_does(build: Build, datamodule: MultimodalDataModule) -> None:
    """Each text of the packed rows by itself, behind <bos> and with nothing else to see."""
    learner, data = trainee("text", build, datamodule)
    family = build("unified")
    batch = data.train_batch(0, 0, 8)
    assert set(batch.roles.unique().tolist()) <= {int(Role.PAD), int(Role.TEXT)}
    total = torch.zeros(())
    for row in range(8):
        for segment in range(1, int(batch.segments[row].max()) + 1):
            here = batch.segments[row] == segment
            read = torch.cat([torch.tensor([family.bos_id]), batch.token_ids[row, here]])[None]
            hidden = family.decoder(family.decoder.embed(read), torch.arange(read.shape[1])[None])
            logits = family.decoder.logits(hidden)[0, 1:]
            total = total + torch.nn.functional.cross_entropy(logits, batch.labels[row, here], reduction="sum")
    mean = total.detach() / int((batch.labels != IGNORED).sum())
    torch.testing.assert_close(learner.training_step(batch, 0)["text_loss"], mean, rtol=1e-5, atol=1e-5)
