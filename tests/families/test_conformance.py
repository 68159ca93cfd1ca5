"""What every family with a decoder promises; a new one joins by standing in the registry."""

import pytest
import torch
from torch import Tensor

from mmbench.config.model import SystemSettings
from mmbench.config.presets import preset_names
from mmbench.config.settings import Settings
from mmbench.data.batch import Batch, Role
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.prompts import CAPTION_PROMPT, question_prompt
from mmbench.families.registry import FAMILIES, family_class
from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.families.sight import Sight
from mmbench.families.trunk import SEES_IMAGE, PlainRows
from tests.families.tiny import QUESTIONS, built, rows_of, system_of

DECODERS = [name for name in FAMILIES if issubclass(family_class(name), SeeingDecoder)]
PRESETS = [name for name in preset_names("systems") if system_of(name).family in DECODERS]


@pytest.fixture(params=["blind", *PRESETS])
def family(request: pytest.FixtureRequest, settings: Settings, datamodule: MultimodalDataModule) -> SeeingDecoder:
    """Every preset of a family with a decoder, with open gates, so that all its ways are in use."""
    system = SystemSettings(family="blind") if request.param == "blind" else system_of(request.param)
    family = built(system, settings, datamodule, open_gates=True)
    assert isinstance(family, SeeingDecoder)
    return family


@pytest.fixture
def images(datamodule: MultimodalDataModule) -> Tensor:
    """Four different test images."""
    return datamodule.split("test").images(range(4))


@pytest.fixture
def prompts(datamodule: MultimodalDataModule) -> list[list[int]]:
    """Four prompts of four lengths."""
    texts = [CAPTION_PROMPT, *(question_prompt(question) for question in QUESTIONS)]
    return [datamodule.tokenizer.encode(text) for text in texts]


def test_every_parameter_belongs_to_one_part(family: SeeingDecoder) -> None:
    named = [id(p) for parameters in family.part_parameters().values() for p in parameters]
    assert len(named) == len(set(named))
    assert set(named) == {id(p) for p in family.parameters()}


def test_batched_generation_equals_one_by_one(family: SeeingDecoder, images: Tensor, prompts: list[list[int]]) -> None:
    together = family.generate(family.see(images), prompts, 12)
    alone = [family.generate(family.see(images[i : i + 1]), [prompts[i]], 12)[0] for i in range(4)]
    assert together == alone
    assert len({tuple(tokens) for tokens in together}) > 2, "texts all alike could not tell a mistake"


def test_cached_generation_equals_uncached(family: SeeingDecoder, images: Tensor, prompts: list[list[int]]) -> None:
    sight = family.see(images)
    cached = family.generate(sight, prompts, 12)
    assert cached == family.generate(sight, prompts, 12, cached=False)
    assert max(len(tokens) for tokens in cached) == 12


def test_generation_continues_what_training_reads(
    family: SeeingDecoder, images: Tensor, prompts: list[list[int]]
) -> None:
    """The tokens are the most likely ones of the training path, too: the two put everything in the same places."""
    prompt = prompts[1]
    new = family.generate(family.see(images[:1]), [prompt], 6)[0]
    ids = torch.tensor([prompt + new])
    rows = PlainRows(ids, torch.ones_like(ids), torch.arange(ids.shape[1])[None], torch.full_like(ids, Role.ANSWER))
    likely = family.decoder.logits(family.read(rows, family.see(images[:1]))).argmax(-1)[0].tolist()
    assert likely[len(prompt) - 1 : -1] == new


def test_generation_stops_at_the_end_token(family: SeeingDecoder, images: Tensor, prompts: list[list[int]]) -> None:
    free = family.generate(family.see(images), prompts, 8)
    family.eos_id = free[0][3]
    stopped = family.generate(family.see(images), prompts, 8)
    assert stopped == [tokens[: tokens.index(family.eos_id)] if family.eos_id in tokens else tokens for tokens in free]


def test_sight_is_taken_row_by_row(family: SeeingDecoder, images: Tensor, prompts: list[list[int]]) -> None:
    sight = family.see(images)
    index = torch.tensor([2, 0, 0])
    chosen = [prompts[3], prompts[1], prompts[2]]
    if isinstance(sight.prefix, Tensor) or sight.contexts:
        assert family.generate(sight.take(index), chosen, 6) == family.generate(family.see(images[index]), chosen, 6)


def test_packed_equals_unpacked(family: SeeingDecoder, batch: Batch) -> None:
    packed = family.read(batch, family.see(batch.images))
    sums = family.token_losses(packed, batch).sums
    apart = {name: torch.zeros(()) for name in sums}
    for row in range(3, 6):
        for segment in range(1, int(batch.segments[row].max()) + 1):
            single = one_segment(batch, row, segment)
            hidden = family.read(single, family.see(single.images))
            torch.testing.assert_close(hidden[0], packed[row, batch.segments[row] == segment], atol=1e-4, rtol=1e-4)
            for name, value in family.token_losses(hidden, single).sums.items():
                apart[name] = apart[name] + value
    rows = rows_of(batch, slice(3, 6))
    together = family.token_losses(packed[3:6], rows).sums
    assert set(together) == {"caption", "answer"}
    for name, value in together.items():
        torch.testing.assert_close(apart[name], value, rtol=1e-4, atol=1e-4)


def test_no_text_sees_another(family: SeeingDecoder, batch: Batch) -> None:
    sight = family.see(batch.images)
    before = family.read(batch, sight)
    for segment in range(1, 4):
        changed = rows_of(batch, slice(None))
        here = batch.segments == segment
        changed.token_ids = torch.where(here, batch.token_ids.flip(0) % 50 + 10, batch.token_ids)
        after = family.read(changed, sight)
        others = (batch.segments > 0) & ~here
        assert torch.equal(after[others], before[others])
        assert not torch.equal(after[here], before[here])


def test_image_reaches_those_who_see_it_and_no_other(family: SeeingDecoder, batch: Batch) -> None:
    before = family.read(batch, family.see(batch.images))
    after = family.read(batch, family.see(batch.images.flip(0)))
    sees = torch.isin(batch.roles, torch.tensor(SEES_IMAGE))
    text = (batch.roles == Role.TEXT) | (batch.roles == Role.TEXT_QUERY)
    assert torch.equal(after[text], before[text])
    blind = family.see(batch.images).is_empty
    moved = (after[sees] - before[sees]).abs().amax(-1)
    assert bool((moved == 0).all()) if blind else bool((moved > 1e-5).all())


def test_text_alone_is_read_as_by_the_decoder_itself(family: SeeingDecoder, datamodule: MultimodalDataModule) -> None:
    ids = torch.tensor([datamodule.tokenizer.encode("a large red circle left of a small blue square")])
    rows = PlainRows(ids, torch.ones_like(ids), torch.arange(ids.shape[1])[None], torch.full_like(ids, Role.TEXT))
    ours = family.decoder.logits(family.read(rows, Sight()))
    with_bos = torch.cat([torch.tensor([[family.bos_id]]), ids], dim=1)
    length = with_bos.shape[1]
    causal = torch.ones(1, 1, length, length, dtype=torch.bool).tril()
    hidden = family.decoder(family.decoder.embed(with_bos), torch.arange(length)[None], causal)
    assert torch.equal(ours, family.decoder.logits(hidden[:, 1:]))


def test_text_nats_by_hand(family: SeeingDecoder, datamodule: MultimodalDataModule) -> None:
    texts = [datamodule.tokenizer.encode(text) for text in ("a circle", "two red squares above a green triangle", "x")]
    nats = family.text_nats(texts)
    for text, value in zip(texts, nats, strict=True):
        read = torch.tensor([[family.bos_id, *text]])
        hidden = family.decoder(family.decoder.embed(read), torch.arange(len(text) + 1)[None])
        targets = torch.tensor([*text[1:], family.eos_id])
        by_hand = torch.nn.functional.cross_entropy(family.decoder.logits(hidden)[0, 1:], targets)
        torch.testing.assert_close(value, by_hand, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(family.text_nats([text])[0], value, rtol=1e-5, atol=1e-5)


def test_embeddings_are_unit_vectors_whatever_the_batch(
    family: SeeingDecoder, images: Tensor, prompts: list[list[int]]
) -> None:
    for embedded, alone in (
        (family.embed_images(images), [family.embed_images(images[i : i + 1])[0] for i in range(4)]),
        (family.embed_texts(prompts), [family.embed_texts([prompt])[0] for prompt in prompts]),
    ):
        assert embedded.dtype == torch.float32
        torch.testing.assert_close(embedded.norm(dim=-1), torch.ones(4))
        torch.testing.assert_close(embedded, torch.stack(alone), atol=1e-5, rtol=1e-4)


def test_embeddings_are_those_that_training_compares(family: SeeingDecoder, batch: Batch) -> None:
    """Read one by one, image and caption give the vectors that the packed rows gave."""
    if "heads" not in family.parts():
        pytest.skip("embeds nothing")
    hidden = family.read(batch, family.see(batch.images))
    head = family.heads.contrastive
    trained = head.embed_image(hidden[batch.roles == Role.IMAGE_QUERY])
    torch.testing.assert_close(family.embed_images(batch.images), trained, atol=1e-5, rtol=1e-4)
    texts = [ids[roles == Role.TEXT].tolist() for ids, roles in zip(batch.token_ids, batch.roles, strict=True)]
    trained = head.embed_text(hidden[batch.roles == Role.TEXT_QUERY])
    torch.testing.assert_close(family.embed_texts(texts), trained, atol=1e-5, rtol=1e-4)


def test_accumulation_equals_one_batch(family: SeeingDecoder, batch: Batch) -> None:
    family.training_step(batch, 0)["loss"].backward()
    whole = gradients(family)
    family.zero_grad()
    family.micro_batches_per_step = 4
    shares = []
    for first in range(0, 8, 2):
        output = family.training_step(rows_of(batch, slice(first, first + 2)), 0)
        (output["loss"] / 4).backward()  # as Lightning divides
        shares.append(output)
    for name, gradient in gradients(family).items():
        torch.testing.assert_close(gradient, whole[name], rtol=1e-3, atol=1e-6)
    family.micro_batches_per_step = 1
    for name, value in family.training_step(batch, 0).items():
        if name != "loss":
            torch.testing.assert_close(sum(share[name] for share in shares), value)


def test_every_trained_parameter_gets_a_gradient(family: SeeingDecoder, batch: Batch) -> None:
    family.training_step(batch, 0)["loss"].backward()
    without = [name for name, p in family.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert without == []


def test_half_precision_is_close(family: SeeingDecoder, batch: Batch, prompts: list[list[int]]) -> None:
    """Under autocast, as cells train where the processor is fast at it; the numbers are nearly the same."""
    family.eval()
    exact = family.loss(batch).sums
    with torch.autocast("cpu", torch.bfloat16):
        narrow = family.loss(batch).sums
        sight = family.see(batch.images[:4], batch.sizes[:4])
        assert len(family.generate(sight, prompts, 3)) == 4
    for name, value in narrow.items():
        torch.testing.assert_close(value.float(), exact[name], rtol=0.1, atol=0.1)


def test_a_step_changes_what_trains_and_nothing_else(family: SeeingDecoder, batch: Batch) -> None:
    for part in family.parts():
        assert family.freeze_all_but([part]) == ([part], [name for name in family.parts() if name != part])
        before = {name: p.detach().clone() for name, p in family.named_parameters()}
        optimizer = family.configure_optimizers()
        family.training_step(batch, 0)["loss"].backward()
        optimizer.step()
        trained = {id(p) for p in family.part_parameters()[part]}
        for name, p in family.named_parameters():
            assert torch.equal(p, before[name]) == (id(p) not in trained), name
        family.zero_grad()


def test_objectives_without_data_are_left_out(family: SeeingDecoder, datamodule: MultimodalDataModule) -> None:
    texts = datamodule.with_mode("text", batch_rows=2).train_batch(0, 0, 2)
    texts.images, texts.sizes = torch.zeros(2, 3, 48, 48, dtype=torch.uint8), torch.full((2, 2), 48)
    assert set(family.loss(texts).sums) <= {"balance", "router_z"}, "the balance of experts is no matter of data"


def test_cost(family: SeeingDecoder, images: Tensor) -> None:
    cost = family.cost(images)
    assert cost["parameters_total"] == sum(p.numel() for p in family.parameters())
    prefix = family.see(images).prefix
    assert cost["context_tokens"] == (0 if prefix is None else prefix.shape[1])
    assert (cost["image_tokens"] == 0) == family.see(images).is_empty


def gradients(family: SeeingDecoder) -> dict[str, Tensor]:
    """Name -> gradient of every parameter."""
    return {name: p.grad.clone() for name, p in family.named_parameters() if p.grad is not None}


def one_segment(batch: Batch, row: int, segment: int) -> Batch:
    """A batch of one row that holds one text of ``batch`` alone."""
    here = batch.segments[row] == segment
    single = rows_of(batch, slice(row, row + 1))
    single.token_ids, single.positions, single.roles, single.labels = (
        values[:, here] for values in (single.token_ids, single.positions, single.roles, single.labels)
    )
    single.segments = torch.ones_like(single.token_ids)
    return single
