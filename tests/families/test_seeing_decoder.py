"""What families with a decoder share beyond the conformance tests: weighed texts, withheld images, adapters."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmbench.config.errors import UserError
from mmbench.config.model import LoraSettings, SystemSettings
from mmbench.config.settings import Settings
from mmbench.data.batch import Batch, Role
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.prompts import CAPTION_PROMPT
from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.families.sight import Sight
from mmbench.families.trunk import PlainRows
from tests.families.tiny import Build, built, rows_of

TEXTS = (" a large red circle", " two squares", " a small blue triangle left of it")


@pytest.fixture(params=["unified", "crossattn"])
def family(request: pytest.FixtureRequest, build: Build) -> SeeingDecoder:
    """The two ways in which an image comes in."""
    made = build(request.param, open_gates=True)
    assert isinstance(made, SeeingDecoder)
    return made


def ids_of(datamodule: MultimodalDataModule, *texts: str) -> list[list[int]]:
    return [datamodule.tokenizer.encode(text) for text in texts]


def by_hand(family: SeeingDecoder, image: Tensor, prompt: list[int], text: list[int]) -> Tensor:
    """Token after token, each from everything before it."""
    sight, total = family.see(image), torch.zeros(())
    for end in range(len(text) + 1):
        step = _next_logits(family, sight, [*prompt, *text[:end]])
        total = total + F.log_softmax(step, dim=-1)[(*text, family.eos_id)[end]]
    return total


def _next_logits(family: SeeingDecoder, sight: Sight, read: list[int]) -> Tensor:
    rows = PlainRows.packed([[read]], Role.ANSWER, family.device)
    logits: Tensor = family.decoder.logits(family.read(rows, sight)[0, -1])
    return logits


def test_log_likelihood_by_hand(family: SeeingDecoder, datamodule: MultimodalDataModule) -> None:
    images = datamodule.split("test").images(range(3))
    (prompt,), texts = ids_of(datamodule, CAPTION_PROMPT), ids_of(datamodule, *TEXTS)
    together = family.log_likelihood(family.see(images), [prompt] * 3, texts)
    for index in range(3):
        expected = by_hand(family, images[index : index + 1], prompt, texts[index])
        torch.testing.assert_close(together[index], expected, atol=1e-4, rtol=1e-4)


def test_choices_of_one_row_do_not_see_one_another(family: SeeingDecoder, datamodule: MultimodalDataModule) -> None:
    images = datamodule.split("test").images(range(2))
    prompts, texts = ids_of(datamodule, CAPTION_PROMPT, "what is it?"), ids_of(datamodule, *TEXTS)
    sight = family.see(images)
    scores = family.choice_scores(sight, prompts, [texts, texts[:2]])
    assert [len(one) for one in scores] == [3, 2]
    for row, given in enumerate([texts, texts[:2]]):
        for place, text in enumerate(given):
            alone = family.log_likelihood(family.see(images[row : row + 1]), [prompts[row]], [text])[0]
            torch.testing.assert_close(scores[row][place], alone, atol=1e-4, rtol=1e-4)


def test_match_score_is_what_the_image_adds(family: SeeingDecoder, datamodule: MultimodalDataModule) -> None:
    images, texts = datamodule.split("test").images(range(3)), ids_of(datamodule, *TEXTS)
    scores = family.match_scores(family.see(images), texts)
    assert bool((scores != 0).all())
    nothing = family.match_scores(family.see_nothing(3), texts)
    assert torch.equal(nothing, torch.zeros(3))


def test_withheld_images_are_not_learned_from(family: SeeingDecoder, batch: Batch) -> None:
    """All rows withheld: the tokens' losses are those of the text alone, and no image is told from another."""
    family.modality_dropout = {"image": 1.0}
    family.train()
    without = family.loss(batch).sums
    blind = family.token_losses(family.read(batch, family.see_nothing(len(batch.images))), batch).sums
    for name, value in blind.items():
        torch.testing.assert_close(without[name], value)
    assert float(without["contrastive"].detach()) == 0.0
    family.eval()
    assert not torch.equal(family.loss(batch).sums["answer"], blind["answer"]), "outside training all is shown"


def test_some_images_are_withheld(family: SeeingDecoder, batch: Batch) -> None:
    texts = torch.randint(10, 300, (1000, 8), generator=torch.Generator().manual_seed(0))
    many = replace(batch, token_ids=texts, segments=torch.ones_like(texts))
    family.modality_dropout = {"image": 0.5}
    family.train()
    torch.manual_seed(0)
    first, second = (family.withheld("image", many) for _ in range(2))
    assert first is not None and second is not None
    assert 400 < int(first.sum()) < 600 and 400 < int((first & second).sum() + (~first & ~second).sum()) < 600
    assert family.withheld("text", many) is None


@pytest.mark.parametrize("name", ["unified", "coattn", "fusion"])
def test_the_same_rows_are_withheld_in_micro_batches(build: Build, batch: Batch, name: str) -> None:
    """One step of 8 rows is four of 2, and so two processes are one."""
    family = build(name)
    family.modality_dropout = dict.fromkeys(family.can_withhold, 0.5)
    family.train()

    def gradients(size: int) -> dict[str, Tensor]:
        family.zero_grad()
        for first in range(0, 8, size):
            torch.manual_seed(3)  # as the harness does before each micro-batch of a step
            family.training_step(rows_of(batch, slice(first, first + size)), 0)["loss"].backward()
        return {key: p.grad.clone() for key, p in family.named_parameters() if p.grad is not None}

    whole, parts = gradients(8), gradients(2)
    assert whole.keys() == parts.keys()
    for key, gradient in whole.items():
        torch.testing.assert_close(parts[key], gradient, rtol=1e-3, atol=1e-5)


def test_text_cannot_be_withheld_from_a_decoder(settings: Settings, datamodule: MultimodalDataModule) -> None:
    with pytest.raises(UserError, match=r"can withhold image"):
        built(SystemSettings(family="unified", modality_dropout={"text": 0.1}), settings, datamodule)


def test_adapters_train_in_the_place_of_the_language_model(
    settings: Settings, datamodule: MultimodalDataModule, batch: Batch
) -> None:
    plain = built(SystemSettings(family="unified"), settings, datamodule)
    system = SystemSettings(family="unified", lora=LoraSettings(rank=2, alpha=4.0, targets=["attention"]))
    family = built(system, settings, datamodule)
    assert torch.equal(family.loss(batch).sums["answer"], plain.loss(batch).sums["answer"]), "at first nothing is added"
    assert family.freeze_all_but(["lora", "connector"])[1] == ["encoder", "language_model", "heads"]
    before = {name: p.detach().clone() for name, p in family.named_parameters()}
    optimizer = family.configure_optimizers()
    for _ in range(2):  # in the first step only the half that starts at 0 gets a gradient
        optimizer.zero_grad()
        family.training_step(batch, 0)["loss"].backward()
        optimizer.step()
    moved = {name for name, p in family.named_parameters() if not torch.equal(p, before[name])}
    assert {name.split(".")[0] for name in moved} == {"lora", "connector"}
    assert all(name in moved for name, _ in family.named_parameters() if name.startswith("lora."))


def test_all_means_the_adapters_in_the_place_of_the_language_model(
    settings: Settings, datamodule: MultimodalDataModule
) -> None:
    family = built(SystemSettings(family="unified", lora=LoraSettings(rank=2)), settings, datamodule)
    assert family.freeze_all_but(["all"]) == (["encoder", "heads", "lora", "connector"], ["language_model"])
    assert not any(parameter.requires_grad for parameter in family.decoder.parameters())


def test_adapters_need_a_decoder_that_generates(settings: Settings, datamodule: MultimodalDataModule) -> None:
    with pytest.raises(UserError, match=r"leave 'lora' out"):
        built(SystemSettings(family="dual", lora=LoraSettings(rank=2)), settings, datamodule)
