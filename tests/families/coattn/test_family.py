"""The co-attention family: what reaches what, which objectives learn, and that batches and packing do not matter."""

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.config.settings import Settings
from mmbench.data.batch import IGNORED, Batch, Role
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.coattn.family import OBJECTIVES, CoAttn
from mmbench.families.frequent_answers import ImageTokens
from mmbench.families.registry import family_class
from mmbench.families.segments import Texts
from mmbench.nn.text_tower import Framed
from tests.families.tiny import Build, built, rows_of, shared_parts, system_of

KINDS: dict[str, dict[str, Any]] = {
    "both": {},
    "shared": {"shared_directions": True, "blocks": 1, "feed_forward_width": 20},
    "text": {"directions": "text"},
    "image": {"directions": "image"},
    "hard": {"hard_negatives": True, "num_heads": 2, "masked_share": 0.4},
}


@pytest.fixture(params=KINDS)
def family(request: pytest.FixtureRequest, build: Build) -> CoAttn:
    """Co-attention systems of several kinds, in training mode."""
    return cast(CoAttn, build("coattn", **KINDS[request.param]).train())


def step(family: CoAttn, batch: Batch, seed: int = 0) -> dict[str, Tensor]:
    """A training step with the random numbers of a seed."""
    torch.manual_seed(seed)
    return family.training_step(batch, 0)


def gradients(family: CoAttn) -> dict[str, Tensor]:
    """Name -> gradient."""
    return {name: p.grad.clone() for name, p in family.named_parameters() if p.grad is not None}


def only(settings: Settings, datamodule: MultimodalDataModule, *on: str) -> CoAttn:
    """A family with only these objectives."""
    weights = {name: float(name in on) for name in OBJECTIVES}
    family = family_class("coattn")(CoAttn.Config(), shared_parts(settings, datamodule), weights)  # type: ignore[arg-type]
    family.training_settings = settings.training
    return cast(CoAttn, family.train())


def test_every_parameter_belongs_to_one_part_and_gets_a_gradient(family: CoAttn, batch: Batch) -> None:
    named = [id(p) for parameters in family.part_parameters().values() for p in parameters]
    assert sorted(named) == sorted(id(p) for p in family.parameters())
    step(family, batch)["loss"].backward()
    assert [name for name, p in family.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


def test_accumulation_equals_one_batch(family: CoAttn, batch: Batch) -> None:
    """Also what is masked, and which captions are the wrong ones, is the same."""
    whole_output = step(family, batch)
    whole_output["loss"].backward()
    whole = gradients(family)
    family.zero_grad()
    family.micro_batches_per_step = 4
    shares = []
    for first in range(0, 8, 2):
        shares.append(step(family, rows_of(batch, slice(first, first + 2))))
        (shares[-1]["loss"] / 4).backward()
    for name, value in whole_output.items():
        if name != "loss":
            torch.testing.assert_close(sum(share[name] for share in shares), value)
    for name, gradient in gradients(family).items():
        torch.testing.assert_close(gradient, whole[name], rtol=1e-3, atol=1e-6)


def test_masks_differ_from_step_to_step(build: Build, batch: Batch) -> None:
    family = cast(CoAttn, build("coattn"))
    outputs = [step(family, batch, seed) for seed in (0, 1, 0)]
    for name in ("masked_text_loss", "masked_image_loss", "match_loss"):
        assert outputs[0][name] == outputs[2][name]
    for name in ("masked_text_loss", "masked_image_loss"):
        assert outputs[0][name] != outputs[1][name]
    family.training_step(batch, 0)
    assert family.training_step(batch, 0)["masked_text_loss"] != outputs[0]["masked_text_loss"]


def test_the_order_of_the_texts_in_a_row_does_not_matter(build: Build, batch: Batch) -> None:
    family = cast(CoAttn, build("coattn"))
    moved = rows_of(batch, slice(None))
    for name in ("token_ids", "segments", "positions", "roles", "labels", "classes"):
        values = getattr(batch, name).clone()
        for row in range(8):
            segments = batch.segments[row]
            order = torch.cat([(segments == s).nonzero()[:, 0] for s in (*range(int(segments.max()), 0, -1), 0)])
            values[row] = values[row, order]
        setattr(moved, name, values)
    assert not torch.equal(moved.roles, batch.roles)
    before, after = step(family, batch), step(family, moved)
    assert set(before) == {"loss", *(f"{name}_loss" for name in OBJECTIVES)}
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)


@pytest.mark.parametrize("off", OBJECTIVES)
def test_an_objective_of_weight_0_is_neither_built_nor_computed(
    settings: Settings, datamodule: MultimodalDataModule, batch: Batch, off: str
) -> None:
    family = only(settings, datamodule, *(name for name in OBJECTIVES if name != off))
    assert getattr(family.heads, off) is None
    assert set(step(family, batch)) == {"loss"} | {f"{name}_loss" for name in OBJECTIVES if name != off}


def test_what_is_not_learned_ties(
    settings: Settings, datamodule: MultimodalDataModule, images: Tensor, prompts: list[list[int]]
) -> None:
    family = only(settings, datamodule, "masked_image")
    sight = family.see(images)
    assert family.answer(sight, prompts, 4) == [[], [], []]
    assert [scores.tolist() for scores in family.choice_scores(sight, prompts, [prompts[:2]] * 3)] == [[0.0, 0.0]] * 3
    assert family.match_scores(sight, prompts).tolist() == [0.0] * 3
    assert torch.equal(family.embed_images(images), family.embed_texts(prompts))


def test_image_reaches_text_and_text_reaches_image_unless_cut(
    build: Build, images: Tensor, prompts: list[list[int]]
) -> None:
    for directions in ("both", "text", "image"):
        family = cast(CoAttn, build("coattn", directions=directions))
        texts = family.framed(Texts.of([prompts[1]] * 3, family.device))
        changed = Framed(texts.token_ids.masked_fill(torch.arange(texts.token_ids.shape[1]) == 1, 77), texts.mask)
        sight, other = family.see(images), family.see(images.flip(0))
        before = family.meet(sight, texts)
        moved_text = not torch.equal(family.meet(other, texts).text[0], before.text[0])
        moved_image = not torch.equal(family.meet(sight, changed).image, before.image)
        assert (moved_text, moved_image) == (directions != "image", directions != "text")


def test_a_withheld_image_says_nothing(build: Build, prompts: list[list[int]], images: Tensor) -> None:
    family = cast(CoAttn, build("coattn"))
    sight = family.see(images)
    sight.mask = torch.zeros_like(sight.mask)
    texts = family.framed(Texts.of(prompts, family.device))
    withheld, nothing = family.meet(sight, texts), family.meet(family.see_nothing(3), texts)
    torch.testing.assert_close(withheld.text, nothing.text)
    torch.testing.assert_close(withheld.joint, nothing.joint)
    assert not torch.equal(family.meet(family.see(images), texts).text, nothing.text)


def test_batched_equals_one_by_one(
    build: Build, images: Tensor, prompts: list[list[int]], datamodule: MultimodalDataModule
) -> None:
    family = cast(CoAttn, build("coattn"))
    sight = family.see(images)
    alone = [family.see(images[i : i + 1]) for i in range(3)]
    choices = [datamodule.answers[:3], datamodule.answers[2:4], datamodule.answers[:1]]
    assert family.answer(sight, prompts, 8) == [family.answer(alone[i], [prompts[i]], 8)[0] for i in range(3)]
    scores = family.choice_scores(sight, prompts, choices)
    for i in range(3):
        torch.testing.assert_close(scores[i], family.choice_scores(alone[i], [prompts[i]], [choices[i]])[0])
    pairs = [
        (family.match_scores(sight, prompts), [family.match_scores(alone[i], [prompts[i]])[0] for i in range(3)]),
        (family.embed_images(images), [family.embed_images(images[i : i + 1])[0] for i in range(3)]),
        (family.embed_texts(prompts), [family.embed_texts([prompt])[0] for prompt in prompts]),
    ]
    for together, each in pairs:
        torch.testing.assert_close(together, torch.stack(each), atol=1e-5, rtol=1e-4)
    index = torch.tensor([2, 0, 0])
    taken = family.match_scores(sight.take(index), prompts)
    torch.testing.assert_close(taken, family.match_scores(family.see(images[index]), prompts))


def test_scores_are_what_training_compares(build: Build, batch: Batch) -> None:
    """Questions read one by one give the classes' loss; captions the contrastive one."""
    family = cast(CoAttn, build("coattn"))
    sums = family.loss(batch).sums
    total = torch.zeros(())
    for row in range(8):
        for segment in range(1, int(batch.segments[row].max()) + 1):
            here = batch.segments[row] == segment
            known = batch.classes[row, here] != IGNORED
            if bool(known.any()):
                prompt = batch.token_ids[row, here][: int(known.int().argmax()) + 1].tolist()
                scores = family.scores(family.see(batch.images[row : row + 1]), Texts.of([prompt], "cpu"))
                total = total - scores.log_softmax(-1)[0, int(batch.classes[row, here][known])]
    torch.testing.assert_close(sums["classify"], total, rtol=1e-4, atol=1e-4)
    captions = [ids[roles == Role.TEXT].tolist() for ids, roles in zip(batch.token_ids, batch.roles, strict=True)]
    embedded = family.embed_images(batch.images), family.embed_texts(captions)
    assert family.heads.contrastive is not None
    expected, _ = family.heads.contrastive.loss(*embedded, torch.ones(8, dtype=torch.bool), 2)
    torch.testing.assert_close(sums["contrastive"], expected, rtol=1e-4, atol=1e-4)


def test_masked_patches_are_not_seen(build: Build, images: Tensor, prompts: list[list[int]]) -> None:
    family = cast(CoAttn, build("coattn"))
    texts = family.framed(Texts.of(prompts, family.device))
    text = family.decoder.embed(texts.token_ids)
    sight = family.see(images)
    hidden = torch.arange(16).expand(3, -1) == 5
    before = family.co_attention(text, texts.mask, sight, hidden).image
    sight = ImageTokens([torch.where(hidden[..., None], sight.tokens + 3, sight.tokens)], sight.mask)
    assert torch.equal(family.co_attention(text, texts.mask, sight, hidden).image, before)
    assert not torch.equal(family.co_attention(text, texts.mask, sight).image, before)
    elsewhere = family.co_attention(text, texts.mask, sight, hidden.roll(1, dims=1)).image
    assert not torch.equal(elsewhere[:, 6], before[:, 5]), "where a masked patch stands is known"


def test_no_gradient_goes_through_what_masked_patches_are_to_be(
    settings: Settings, datamodule: MultimodalDataModule, batch: Batch
) -> None:
    family = only(settings, datamodule, "masked_image")
    family.config.masked_share = 0.999
    sight = family.see(batch.images)
    sight.tokens.retain_grad()
    family.see = lambda images, sizes=None: sight  # type: ignore[method-assign]
    step(family, batch)["loss"].backward()
    assert sight.tokens.grad is not None
    assert not bool(sight.tokens.grad.any()), "with every patch masked, only the target holds the tokens"


def test_modality_dropout_takes_pairs_and_sides(build: Build, batch: Batch) -> None:
    family = cast(CoAttn, build("coattn"))
    family.modality_dropout = {"image": 1.0}
    family.train()
    output = step(family, batch)
    assert float(output["contrastive_loss"]) == float(output["match_loss"]) == 0.0
    other = rows_of(batch, slice(None))
    other.images = batch.images.flip(0)
    torch.testing.assert_close(step(family, other)["classify_loss"], output["classify_loss"])
    family.eval()
    assert not torch.equal(step(family, other)["classify_loss"], step(family, batch)["classify_loss"])


def test_data_of_one_kind_leaves_the_other_objectives_out(build: Build, batch: Batch) -> None:
    family = cast(CoAttn, build("coattn"))
    captions, questions, nothing = (rows_of(batch, slice(None)) for _ in range(3))
    captions.totals = replace(batch.totals, classified=0)
    questions.totals = replace(batch.totals, pairs=0)
    nothing.totals = replace(batch.totals, pairs=0, classified=0)
    assert set(family.loss(captions).sums) == set(OBJECTIVES) - {"classify"}
    assert set(family.loss(questions).sums) == {"classify"}
    assert family.loss(nothing).sums == {}


def test_cost(family: CoAttn, images: Tensor) -> None:
    total = sum(p.numel() for p in family.parameters())
    cost = family.cost(images)
    assert cost == {"image_tokens": 16, "context_tokens": 0, "parameters_total": total, "parameters_active": total}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 0}, "blocks"),
        ({"embed_dim": 0}, "embed_dim"),
        ({"masked_share": 1.0}, "masked_share"),
        ({"num_heads": 5}, "num_heads"),
        ({"shared_directions": True, "directions": "text"}, "one direction"),
    ],
)
def test_options_that_do_not_fit_are_refused(build: Build, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build("coattn", **options)


def test_objectives_that_do_not_fit_are_refused(settings: Settings, datamodule: MultimodalDataModule) -> None:
    with pytest.raises(UserError, match="hard_negatives"):
        CoAttn(CoAttn.Config(hard_negatives=True), shared_parts(settings, datamodule), {"match": 0.0})


def test_the_preset_learns(settings: Settings, datamodule: MultimodalDataModule, batch: Batch) -> None:
    family = cast(CoAttn, built(system_of("coattn"), settings, datamodule).train())
    family.training_settings = replace(settings.training, learning_rate=2e-3)
    optimizer = family.configure_optimizers()
    outputs = []
    for i in range(25):
        outputs.append(step(family, batch, i))
        optimizer.zero_grad()
        outputs[-1]["loss"].backward()
        optimizer.step()
    for name in ("classify", "match", "contrastive", "masked_text"):
        first, last = (sum(float(o[f"{name}_loss"]) for o in part) for part in (outputs[:4], outputs[-4:]))
        assert last < 0.85 * first, name
