"""Two towers that meet in one space alone: what they read, how they learn, and that nothing else decides."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.config.load import load_settings
from mmbench.config.settings import Settings
from mmbench.data.batch import Batch, Role
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.dual import Dual, Embedded
from mmbench.nn.decoder import Decoder
from tests.families.tiny import Build, rows_of, shared_parts
from tests.families.two_processes import gradients_of_two

KINDS: dict[str, dict[str, Any]] = {
    "clip": {},
    "siglip": {
        "objective": "sigmoid",
        "image_pool": "attention",
        "text_attention": "bidirectional",
        "project_image": False,
        "begin_token": False,
    },
    "means": {"image_pool": "mean", "text_pool": "mean", "text_attention": "bidirectional", "embed_dim": 12},
    "attention": {"text_pool": "attention", "longest_text": 6},
    "padded": {"objective": "sigmoid", "longest_text": 40, "pad_text": True, "text_attention": "bidirectional"},
}


@pytest.fixture(params=KINDS)
def family(request: pytest.FixtureRequest, build: Build) -> Dual:
    """Dual encoders of several kinds."""
    return cast(Dual, build("dual", **KINDS[request.param]))


@pytest.fixture
def images(datamodule: MultimodalDataModule) -> Tensor:
    """Four different test images."""
    return datamodule.split("test").images(range(4))


@pytest.fixture
def texts(datamodule: MultimodalDataModule) -> list[list[int]]:
    """Four texts of four lengths."""
    words = (" a red circle", " two", " a large blue square left of a small green triangle", " no")
    return [datamodule.tokenizer.encode(text) for text in words]


def gradients(family: Dual) -> dict[str, Tensor]:
    """Name -> gradient."""
    return {name: p.grad.clone() for name, p in family.named_parameters() if p.grad is not None}


def test_batched_equals_one_by_one(family: Dual, images: Tensor, texts: list[list[int]]) -> None:
    for together, alone in (
        (family.embed_images(images), [family.embed_images(images[i : i + 1])[0] for i in range(4)]),
        (family.embed_texts(texts), [family.embed_texts([text])[0] for text in texts]),
        (
            family.match_scores(family.see(images), texts),
            [family.match_scores(family.see(images[i : i + 1]), [texts[i]])[0] for i in range(4)],
        ),
    ):
        torch.testing.assert_close(together, torch.stack(alone), atol=1e-5, rtol=1e-4)


def test_embeddings_are_unit_vectors_that_differ(family: Dual, images: Tensor, texts: list[list[int]]) -> None:
    for embedded in (family.embed_images(images), family.embed_texts(texts)):
        assert embedded.dtype == torch.float32
        torch.testing.assert_close(embedded.norm(dim=-1), torch.ones(4))
        assert bool((torch.cdist(embedded, embedded) + torch.eye(4) > 1e-3).all())


def test_loss_is_the_heads_on_what_is_embedded(family: Dual, batch: Batch) -> None:
    """Packed rows give the loss of their images and captions embedded one by one."""
    captions = [ids[roles == Role.TEXT].tolist() for ids, roles in zip(batch.token_ids, batch.roles, strict=True)]
    head = family.heads.contrastive
    embedded = family.embed_images(batch.images), family.embed_texts(captions)
    expected, _ = head.loss(*embedded, torch.ones(8, dtype=torch.bool), family.training_settings.contrastive_group)
    assert family.loss(batch).sums.keys() == {"contrastive"}
    torch.testing.assert_close(family.loss(batch).sums["contrastive"], expected, atol=1e-4, rtol=1e-4)


def test_the_order_of_the_texts_in_a_row_does_not_matter(family: Dual, batch: Batch) -> None:
    moved = rows_of(batch, slice(None))
    for name in ("token_ids", "segments", "positions", "roles", "labels", "classes"):
        values = getattr(batch, name).clone()
        for row in range(8):
            segments = batch.segments[row]
            order = torch.cat([(segments == s).nonzero()[:, 0] for s in (*range(int(segments.max()), 0, -1), 0)])
            values[row] = values[row, order]
        setattr(moved, name, values)
    assert not torch.equal(moved.roles, batch.roles)
    torch.testing.assert_close(family.loss(moved).sums["contrastive"], family.loss(batch).sums["contrastive"])


def test_accumulation_equals_one_batch(family: Dual, batch: Batch) -> None:
    family.training_step(batch, 0)["loss"].backward()
    whole = gradients(family)
    family.zero_grad()
    family.micro_batches_per_step = 4
    for first in range(0, 8, 2):
        (family.training_step(rows_of(batch, slice(first, first + 2)), 0)["loss"] / 4).backward()
    for name, gradient in gradients(family).items():
        torch.testing.assert_close(gradient, whole[name], rtol=1e-3, atol=1e-6)


def test_every_parameter_belongs_to_one_part_and_gets_a_gradient(family: Dual, batch: Batch) -> None:
    named = [id(p) for parameters in family.part_parameters().values() for p in parameters]
    assert sorted(named) == sorted(id(p) for p in family.parameters())
    family.training_step(batch, 0)["loss"].backward()
    assert [name for name, p in family.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


def test_rows_without_a_caption_teach_nothing(family: Dual, batch: Batch) -> None:
    lacking = without_pair(batch, 3)
    group = slice(2, 4)  # the groups are of two rows
    alone = family.loss(rows_of(lacking, group)).sums["contrastive"]
    if family.config.objective == "softmax":
        assert float(alone.detach()) == 0.0, "a pair without a rival is found"
    rest = [family.loss(rows_of(batch, slice(i, i + 2))).sums["contrastive"] for i in (0, 4, 6)]
    torch.testing.assert_close(family.loss(lacking).sums["contrastive"], alone + sum(rest))


def test_a_step_without_captions_has_no_loss(build: Build, batch: Batch) -> None:
    family = build("dual")
    questions = rows_of(batch, slice(None))
    questions.totals = replace(batch.totals, pairs=0)
    assert family.loss(questions).sums == {}
    output = family.training_step(questions, 0)
    assert set(output) == {"loss"}
    output["loss"].backward()
    assert float(output["loss"].detach()) == 0.0


def test_data_without_captions_is_refused_before_the_first_step(
    build: Build, datamodule: MultimodalDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trainer:
        """What the hook reads of Lightning's trainer."""

        def __init__(self, data: Any) -> None:
            self.datamodule = data

    family = build("dual")
    monkeypatch.setattr(Dual, "trainer", property(lambda _: Trainer(datamodule)))
    family.on_fit_start()
    monkeypatch.setattr(datamodule.dataset, "tasks", lambda: ("answer",))
    with pytest.raises(UserError, match="the data has no captions"):
        family.on_fit_start()


def test_tasks_by_similarity(build: Build, images: Tensor, texts: list[list[int]]) -> None:
    family = build("dual", **KINDS["siglip"])
    head = family.heads.contrastive
    sight = family.see(images)
    cosines = family.embed_images(images) @ family.embed_texts(texts).T
    expected = cosines * head.log_scale.exp() + head.bias
    torch.testing.assert_close(family.match_scores(sight, texts), expected.diagonal())
    index = torch.tensor([2, 0, 0])
    taken = family.match_scores(sight.take(index), texts[:3])
    torch.testing.assert_close(taken, expected[index, torch.arange(3)])
    choices = [texts[:3], texts[1:], texts[:1], texts]
    scores = family.choice_scores(sight, texts, choices)
    assert [len(each) for each in scores] == [3, 3, 1, 4]
    second = family.match_scores(Embedded(sight.vectors[1:2]), [texts[1] + texts[3]])
    torch.testing.assert_close(scores[1][2:], second)


def test_a_probe_reads_the_mean_of_the_tokens_however_they_are_pooled(family: Dual, images: Tensor) -> None:
    tokens = family.encoder(family.encoder.normalise(images))
    torch.testing.assert_close(family.image_features(images), tokens.mean(dim=1))


def test_a_long_text_is_cut_before_its_end_token(build: Build, datamodule: MultimodalDataModule) -> None:
    family = build("dual", longest_text=6)
    text = datamodule.tokenizer.encode(" a large red circle left of a small blue square and a triangle")
    assert torch.equal(family.embed_texts([text]), family.embed_texts([text[:4]]))
    assert not torch.equal(family.embed_texts([text]), family.embed_texts([text[:3]]))


def test_cost(family: Dual, images: Tensor) -> None:
    total = sum(p.numel() for p in family.parameters())
    assert family.cost(images) == {
        "image_tokens": 16,
        "context_tokens": 0,
        "parameters_total": total,
        "parameters_active": total,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pad_text": True}, "longest_text"),
        ({"longest_text": 2}, "'longest_text' is 2; with a begin and an end token it must be at least 3"),
        ({"longest_text": 1, "begin_token": False}, "'longest_text' is 1; with an end token it must be at least 2"),
        ({"text_pad_id": 300}, "'text_pad_id' is 300, but token ids go from 0 to 299"),
        ({"text_pad_id": -1}, "'text_pad_id' is -1"),
        ({"project_image": False}, "objective: sigmoid"),
        ({"objective": "sigmoid", "project_image": False, "embed_dim": 7}, "needs a projection"),
        ({"embed_dim": 0}, "embed_dim"),
        ({"image_pool": "attention", "pool_heads": 5}, "cannot be pooled by 5 heads"),
    ],
)
def test_options_that_do_not_fit_are_refused(build: Build, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build("dual", **options)


def test_the_shortest_texts_have_a_token_each(build: Build, texts: list[list[int]]) -> None:
    for begin_token, longest in ((True, 3), (False, 2)):
        family = build("dual", begin_token=begin_token, longest_text=longest, text_pad_id=299)
        embedded = family.embed_texts([texts[0], texts[0][:1], texts[1]])
        torch.testing.assert_close(embedded[0], embedded[1])
        assert not torch.allclose(embedded[0], embedded[2])


def test_texts_must_fit_the_learned_positions(settings: Settings, datamodule: MultimodalDataModule) -> None:
    shared = shared_parts(settings, datamodule)
    shared.decoder = Decoder(replace(shared.decoder.config, max_positions=8))
    with pytest.raises(UserError, match=r"'longest_text' is 9; .* at least 3 and at most 8, the positions"):
        Dual(Dual.Config(longest_text=9), shared, {})
    Dual(Dual.Config(longest_text=8), shared, {})


def test_an_encoder_without_class_token_has_none_to_pool(build: Build, images: Tensor) -> None:
    with pytest.raises(UserError, match="no class token"):
        build("dual", image_pool="class").embed_images(images)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_presets_build(build: Build, name: str) -> None:
    system = load_settings([name]).systems[name]
    family = build(system.family, stages=system.stages, **system.options)
    assert isinstance(family, Dual)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_learns_to_tell_images_apart(build: Build, batch: Batch, kind: str) -> None:
    family = build("dual", **KINDS[kind])
    family.training_settings = replace(family.training_settings, learning_rate=2e-3)
    optimizer = family.configure_optimizers()
    losses = []
    for _ in range(12):
        output = family.training_step(batch, 0)
        optimizer.zero_grad()
        output["loss"].backward()
        optimizer.step()
        losses.append(float(output["contrastive_loss"]))
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.slow
def test_one_process_equals_two(build: Build, batch: Batch, tmp_path: Path) -> None:
    """Gradients do not grow with the processes, also where the second one has no caption."""
    steps = [batch, without_pair(without_pair(without_pair(without_pair(batch, 4), 5), 6), 7)]
    families = {kind: build("dual", **options) for kind, options in KINDS.items()}
    found = gradients_of_two(families, steps, tmp_path)
    for kind, family in families.items():
        for index, step in enumerate(steps):
            family.zero_grad()
            family.training_step(step, 0)["loss"].backward()
            for name, gradient in gradients(cast(Dual, family)).items():
                torch.testing.assert_close(found[kind][index][name], gradient, rtol=1e-3, atol=1e-6)


def without_pair(batch: Batch, row: int) -> Batch:
    """The batch with the pair of one row blanked."""
    changed = rows_of(batch, slice(None))
    blank = torch.isin(batch.roles, torch.tensor([Role.TEXT, Role.TEXT_QUERY, Role.IMAGE_QUERY]))
    blank &= (torch.arange(len(batch.roles)) == row)[:, None]
    changed.segments = batch.segments.masked_fill(blank, 0)
    changed.roles = batch.roles.masked_fill(blank, int(Role.PAD))
    changed.totals = replace(batch.totals, pairs=batch.totals.pairs - 1)
    return changed
