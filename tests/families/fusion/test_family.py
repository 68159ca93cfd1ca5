"""What every fusion preset promises, whatever its placement and mechanism."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.config.load import load_settings
from mmbench.config.model import SystemSettings
from mmbench.config.presets import config_dir
from mmbench.config.settings import Settings
from mmbench.data.batch import IGNORED, Batch
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.fusion.family import Fusion
from mmbench.families.fusion.mechanisms import MECHANISMS
from mmbench.families.segments import Texts
from tests.families.tiny import built, rows_of

OPTIONS = {
    f"{placement}-{name}": {"placement": placement, "mechanism": name}
    for placement in ("early", "intermediate", "late")
    for name in MECHANISMS
} | {"vit-classifier": {"placement": "pooled"}}
all_systems = pytest.mark.parametrize("family", OPTIONS, indirect=True)
two_systems = pytest.mark.parametrize("family", ["intermediate-attention", "vit-classifier"], indirect=True)


@pytest.fixture
def family(request: pytest.FixtureRequest, settings: Settings, datamodule: MultimodalDataModule) -> Fusion:
    """A system, in training mode."""
    family = built(SystemSettings(family="fusion", options=OPTIONS[request.param]), settings, datamodule)
    assert isinstance(family, Fusion)
    return family.train()


def test_presets_and_their_short_names() -> None:
    files = {path.stem for path in (config_dir() / "systems" / "fusion").glob("*.yaml")}
    short = {name: f"{name}-concat" for name in ("early", "intermediate", "late")}
    short |= {name: f"intermediate-{name}" for name in MECHANISMS}
    assert files == {*OPTIONS, *short}
    systems = load_settings(sorted(files)).systems
    assert {name: systems[name].options for name in OPTIONS} == OPTIONS
    assert all(systems[name] == systems[preset] for name, preset in short.items())


@all_systems
def test_every_parameter_belongs_to_one_part_and_gets_a_gradient(family: Fusion, batch: Batch) -> None:
    named = [id(p) for parameters in family.part_parameters().values() for p in parameters]
    assert len(named) == len(set(named))
    assert set(named) == {id(p) for p in family.parameters()}
    family.training_step(batch, 0)["loss"].backward()
    assert [name for name, p in family.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


@all_systems
def test_batched_equals_one_by_one(family: Fusion, images: Tensor, prompts: list[list[int]]) -> None:
    together = family.scores(family.see(images), Texts.of(prompts, "cpu"))
    alone = [family.scores(family.see(images[i : i + 1]), Texts.of([prompts[i]], "cpu"))[0] for i in range(3)]
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-4, rtol=1e-4)
    taken = family.see(images).take(torch.tensor([2, 0]))
    of_taken = family.scores(taken, Texts.of([prompts[2], prompts[0]], "cpu"))
    torch.testing.assert_close(of_taken, together[[2, 0]], atol=1e-4, rtol=1e-4)


@all_systems
def test_packed_equals_unpacked(family: Fusion, batch: Batch) -> None:
    """The loss of the packed rows is that of each question by itself, read up to where its answer begins."""
    by_hand = torch.zeros(())
    for row, last in (batch.classes != IGNORED).nonzero().tolist():
        first = last - int(batch.positions[row, last])
        prompt = batch.token_ids[row, first : last + 1].tolist()
        scores = family.scores(family.see(batch.images[row : row + 1]), Texts.of([prompt], "cpu"))
        by_hand = by_hand + F.cross_entropy(scores[0], batch.classes[row, last])
    sums = family.loss(batch).sums
    assert set(sums) == {"classify"}
    torch.testing.assert_close(sums["classify"], by_hand, rtol=1e-4, atol=1e-4)


@all_systems
def test_accumulation_equals_one_batch(family: Fusion, batch: Batch) -> None:
    family.training_step(batch, 0)["loss"].backward()
    whole = {name: p.grad.clone() for name, p in family.named_parameters() if p.grad is not None}
    family.zero_grad()
    family.micro_batches_per_step = 4
    for first in range(0, 8, 2):
        (family.training_step(rows_of(batch, slice(first, first + 2)), 0)["loss"] / 4).backward()
    for name, p in family.named_parameters():
        torch.testing.assert_close(p.grad, whole[name], rtol=1e-3, atol=1e-5)


@all_systems
def test_a_micro_batch_without_a_frequent_answer_adds_nothing(family: Fusion, batch: Batch) -> None:
    """But it goes through the same parameters, since the other processes wait for their gradients."""
    rare = replace(rows_of(batch, slice(0, 2)), classes=torch.full_like(batch.classes[:2], IGNORED))
    loss = family.training_step(rare, 0)["loss"]
    loss.backward()
    assert loss == 0
    assert all(p.grad is not None and not bool(p.grad.any()) for p in family.parameters())
    texts = replace(rare, totals=replace(batch.totals, classified=0))
    assert family.loss(texts).sums == {}


@all_systems
def test_the_image_and_the_question_reach_the_answer(family: Fusion, images: Tensor, prompts: list[list[int]]) -> None:
    sight = family.see(images)
    same_question = family.scores(sight, Texts.of([prompts[0]] * 3, "cpu"))
    assert bool(((same_question[1:] - same_question[0]).abs().amax(dim=-1) > 1e-4).all())
    same_image = family.scores(sight.take(torch.zeros(3, dtype=torch.int64)), Texts.of(prompts, "cpu"))
    assert bool(((same_image[1:] - same_image[0]).abs().amax(dim=-1) > 1e-4).all())


@all_systems
def test_a_withheld_image_is_seen_by_none(family: Fusion, batch: Batch) -> None:
    family.modality_dropout = {"image": 1.0}
    other = replace(batch, images=batch.images.flip(0))
    assert torch.equal(family.loss(batch).sums["classify"], family.loss(other).sums["classify"])
    blind = replace(family.see(batch.images), mask=torch.zeros(8, family.see(batch.images).mask.shape[1]).bool())
    texts = Texts.of([[5, 6, 7]] * 8, "cpu")
    nothing = family.scores(family.see_nothing(8), texts)
    torch.testing.assert_close(nothing, family.scores(blind, texts), atol=1e-4, rtol=1e-4)
    family.eval()
    assert not torch.equal(family.loss(batch).sums["classify"], family.loss(other).sums["classify"])


@all_systems
def test_a_withheld_question_is_read_by_none(family: Fusion, batch: Batch) -> None:
    family.modality_dropout = {"text": 1.0}
    other = replace(batch, token_ids=batch.token_ids.flip(0) % 50 + 10)
    loss = family.loss(batch).sums["classify"]
    assert torch.equal(loss, family.loss(other).sums["classify"])
    rows = (batch.classes != IGNORED).nonzero()[:, 0]
    scores = family.scores(family.see(batch.images).take(rows), Texts.of([[]] * len(rows), "cpu"))
    by_hand = F.cross_entropy(scores, batch.classes[batch.classes != IGNORED], reduction="sum")
    torch.testing.assert_close(loss, by_hand, rtol=1e-4, atol=1e-4)


@two_systems
def test_dropout_withholds_as_often_as_it_says(family: Fusion, batch: Batch) -> None:
    torch.manual_seed(0)
    texts = torch.randint(10, 300, (4000, 8))
    many = replace(batch, token_ids=texts, segments=torch.ones_like(texts))
    family.modality_dropout = {"image": 0.25}
    withheld = family.withheld("image", many)
    assert withheld is not None
    assert 0.22 < float(withheld.float().mean()) < 0.28
    assert family.withheld("text", many) is None


@two_systems
def test_cost_and_features(family: Fusion, images: Tensor) -> None:
    cost = family.cost(images)
    assert cost["image_tokens"] == 16
    assert cost["parameters_total"] == cost["parameters_active"] == sum(p.numel() for p in family.parameters())
    features = family.image_features(images)
    assert features.shape == (3, family.encoder.dim)
    torch.testing.assert_close(features[1:2], family.image_features(images[1:2]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("placement", "num_tokens"), [("early", 16), ("intermediate", 0), ("late", 0), ("pooled", 0)])
def test_only_early_fusion_puts_the_image_into_the_context(
    settings: Settings, datamodule: MultimodalDataModule, images: Tensor, placement: str, num_tokens: int
) -> None:
    family = built(SystemSettings(family="fusion", options={"placement": placement}), settings, datamodule)
    assert family.cost(images)["context_tokens"] == num_tokens


def test_experts_are_balanced_over_each_rows_texts(
    settings: Settings, datamodule: MultimodalDataModule, batch: Batch
) -> None:
    system = SystemSettings(
        family="fusion", language_model={"experts": {"num_experts": 4, "num_active": 2, "num_shared": 1, "width": 16}}
    )
    family = built(system, settings, datamodule).train()
    assert isinstance(family, Fusion)
    sums = family.loss(batch).sums
    assert set(sums) == {"classify", "balance", "router_z"}
    rows = (batch.classes != IGNORED).nonzero()[:, 0]
    for name, of_texts in family.decoder.auxiliary_losses().items():
        by_hand = sum(of_texts[rows == row].mean() for row in rows.unique())
        torch.testing.assert_close(sums[name], by_hand)
        parts = [family.loss(rows_of(batch, part)).sums[name] for part in (slice(0, 3), slice(3, 8))]
        torch.testing.assert_close(parts[0] + parts[1], by_hand)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"placement": "middle"}, "unknown placement of fusion 'middle'.*early, intermediate, late, pooled"),
        ({"mechanism": "gate"}, "unknown fusion mechanism 'gate'; did you mean 'gated'"),
        ({"placement": "pooled", "mechanism": "gated"}, "'mechanism' is 'gated', but placement 'pooled' has no fusion"),
        ({"placement": "pooled", "layers": 1}, "'layers' is 1, but placement 'pooled' has no fusion layers: leave"),
        ({"layers": 0}, "'layers' is 0; it must be at least 1"),
        ({"layers": 4}, "4 fusion layers do not fit between the 4 blocks .* set option 'layers' to at most 3"),
        ({"feed_forward_width": 0}, "'feed_forward_width' is 0; it must be at least 1"),
        ({"mechanism": "graph", "mechanism_options": {"neighbours": 0}}, "'neighbours' is 0; it must be at least 1"),
        ({"mechanism": "memory", "mechanism_options": {"slots": 0}}, "'slots' is 0; it must be at least 1"),
        ({"mechanism": "memory", "mechanism_options": {"hop": 2}}, "hop.*options of mechanism 'memory'|hops"),
        ({"mechanism": "gated", "mechanism_options": {"slots": 2}}, "slots"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    settings: Settings, datamodule: MultimodalDataModule, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        built(SystemSettings(family="fusion", options=options), settings, datamodule)


def test_without_questions_there_is_nothing_to_choose(
    settings: Settings, datamodule: MultimodalDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(datamodule), "answers", [])
    with pytest.raises(UserError, match="has no question with one: give data with questions"):
        built(SystemSettings(family="fusion"), settings, datamodule)
