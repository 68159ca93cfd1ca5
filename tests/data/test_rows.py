import numpy as np
import pytest
import torch

from mmbench.config.data import RowSettings
from mmbench.data.answers import FrequentAnswers
from mmbench.data.batch import IGNORED, Batch, Role, Totals
from mmbench.data.example import Example, Question
from mmbench.data.images import Pixels
from mmbench.data.rows import Mode, build_batch, plan_rows
from mmbench.data.table import Array, TextTable
from mmbench.data.tokenizer import train_tokenizer

TOKENIZER = train_tokenizer(["Caption: a dog on the grass", "Q: is it red? A: yes"] * 5, 300)
EXAMPLES = [
    Example(
        f"{i}",
        "",
        [f"caption {k} of {i}" for k in range(i % 4)],
        [Question(f"{i}q{k}", f"is it {k}?", ["yes", "no"], "k") for k in range(3 - i % 3)],
    )
    for i in range(12)
]
FREQUENT = FrequentAnswers([Question("", "", ["yes"], "")], 1)
TABLE = TextTable(EXAMPLES, TOKENIZER, 48, frequent=FREQUENT)
PIXELS = np.arange(12, dtype=np.uint8)[:, None, None, None].repeat(3, 1).repeat(4, 2).repeat(4, 3)


def make(
    images: list[int],
    mode: Mode = "multimodal",
    embed: bool = True,
    seed: int = 0,
    epoch: int = 0,
    rows: RowSettings | None = None,
) -> Batch:
    chosen, epochs = np.array(images), np.full(len(images), epoch)
    plan = plan_rows(TABLE, rows or RowSettings(2, 2), mode, embed, seed, chosen, epochs)
    pixels = PIXELS[chosen] if mode != "text" else PIXELS[:0]
    return build_batch(TABLE, plan, mode, TOKENIZER.pad_id, pixels, sizes_of(pixels), 0, len(images))


def sizes_of(pixels: Pixels) -> Array:
    return np.full((len(pixels), 2), 4)


def segments(batch: Batch, row: int) -> list[tuple[list[int], list[int], list[int]]]:
    """(ids, labels, roles) of each segment of a row."""
    found = []
    for number in range(1, int(batch.segments[row].max()) + 1):
        here = batch.segments[row] == number
        found.append(
            (batch.token_ids[row][here].tolist(), batch.labels[row][here].tolist(), batch.roles[row][here].tolist())
        )
    return found


def test_a_row_holds_captions_questions_and_a_pair() -> None:
    batch = make([3])
    row = segments(batch, 0)
    assert [roles[0] for _, _, roles in row] == [
        Role.CAPTION,
        Role.CAPTION,
        Role.ANSWER,
        Role.ANSWER,
        Role.TEXT,
        Role.IMAGE_QUERY,
    ]
    caption = TOKENIZER.decode(row[0][0]).removeprefix("Caption: ")
    assert caption in EXAMPLES[3].captions
    assert TOKENIZER.decode(row[4][0]) == caption and row[4][2][-1] == Role.TEXT_QUERY
    assert TOKENIZER.decode([label for label in row[0][1] if label != IGNORED]) == caption
    assert row[0][1][-1] == TOKENIZER.eos_id
    assert len(batch.sample_ids) == len(set(batch.sample_ids)) == 4


def test_positions_and_padding() -> None:
    batch = make([0, 3, 7])
    assert batch.token_ids.shape[1] % 16 == 0
    pad = batch.segments == 0
    assert (batch.roles[pad] == Role.PAD).all() and (batch.labels[pad] == IGNORED).all()
    assert (batch.token_ids[pad] == TOKENIZER.pad_id).all() and (batch.positions[pad] == 0).all()
    for row in range(3):
        length = int((~pad[row]).sum())
        assert not pad[row][:length].any()
        starts = torch.diff(batch.segments[row][:length], prepend=torch.tensor([0])) == 1
        assert torch.equal(batch.positions[row][:length] == 0, starts)


def test_an_image_without_captions_has_no_pair() -> None:
    batch = make([0])
    assert Role.IMAGE_QUERY not in batch.roles and batch.totals.pairs == 0


def test_totals_are_what_the_whole_batch_holds() -> None:
    batch = make(list(range(12)))
    supervised = batch.labels != IGNORED
    assert batch.totals == Totals(
        caption_tokens=int((supervised & (batch.roles == Role.CAPTION)).sum()),
        answer_tokens=int((supervised & (batch.roles == Role.ANSWER)).sum()),
        text_tokens=0,
        classified=int((batch.classes != IGNORED).sum()),
        pairs=int((batch.roles == Role.IMAGE_QUERY).sum()),
        samples=len(batch.sample_ids),
        rows=12,
        tokens=int((batch.segments > 0).sum()),
    )


@pytest.mark.parametrize("mode", ["multimodal", "pairs", "text"])
def test_parts_of_a_batch_are_its_rows(mode: Mode) -> None:
    images = np.array([3, 7, 1, 11, 2, 6])
    plan = plan_rows(TABLE, RowSettings(2, 2), mode, True, 0, images, np.zeros(6, np.int64))
    whole = build_batch(TABLE, plan, mode, 0, PIXELS[:0], sizes_of(PIXELS[:0]), 0, 6)
    parts = [build_batch(TABLE, plan, mode, 0, PIXELS[:0], sizes_of(PIXELS[:0]), first, 2) for first in (0, 2, 4)]
    assert [name for part in parts for name in part.sample_ids] == whole.sample_ids
    for k, part in enumerate(parts):
        width = part.token_ids.shape[1]
        assert part.totals == whole.totals
        for name in ("token_ids", "segments", "positions", "roles", "labels", "classes"):
            assert torch.equal(getattr(part, name), getattr(whole, name)[2 * k : 2 * k + 2, :width])


def test_the_texts_of_a_row_depend_on_seed_epoch_and_image_alone() -> None:
    alone, among = make([7]), make([3, 7, 11])
    assert set(alone.sample_ids) <= set(among.sample_ids)
    assert segments(alone, 0) == segments(among, 1)
    drawn = {tuple(make([7], epoch=epoch).sample_ids) for epoch in range(10)}
    assert len(drawn) > 3
    assert any(make([7], seed=seed).sample_ids != alone.sample_ids for seed in range(1, 5))


def test_over_epochs_every_text_and_every_tied_answer_is_drawn() -> None:
    seen, answers = set(), set()
    for epoch in range(40):
        batch = make([7], epoch=epoch)
        seen |= set(batch.sample_ids)
        answers |= {tuple(labels[-2:]) for _, labels, roles in segments(batch, 0) if roles[0] == Role.ANSWER}
    assert seen == {f"7#caption{k}" for k in range(3)} | {f"7q{k}" for k in range(2)}
    assert len(answers) == 2


def test_pairs_alone_count_as_samples() -> None:
    batch = make([3, 7], mode="pairs")
    assert set(batch.roles.flatten().tolist()) == {Role.PAD, Role.TEXT, Role.TEXT_QUERY, Role.IMAGE_QUERY}
    assert batch.totals.samples == batch.totals.pairs == len(batch.sample_ids) == 2
    assert (batch.labels == IGNORED).all()


def test_text_rows_predict_every_next_token_and_have_no_images() -> None:
    batch = make([3], mode="text")
    assert batch.images.shape == (0, 3, 4, 4)
    ((ids, labels, roles),) = segments(batch, 0)
    ends = [place for place, label in enumerate(labels) if label == TOKENIZER.eos_id]
    assert len(ends) > 1, "several texts are one document"
    assert [label for place, label in enumerate(labels) if place not in ends] == [
        following for place, following in enumerate(ids[1:]) if place not in ends
    ]
    assert batch.positions[0, : len(ids)].tolist() == list(range(len(ids)))
    assert set(roles) == {Role.TEXT}
    assert batch.totals.text_tokens == int((batch.labels != IGNORED).sum()) == batch.totals.tokens


def test_rows_without_captions_can_still_hold_a_pair() -> None:
    batch = make([3], rows=RowSettings(0, 1))
    assert [roles[0] for _, _, roles in segments(batch, 0)] == [Role.ANSWER, Role.TEXT, Role.IMAGE_QUERY]
    assert batch.totals.samples == 1 and batch.totals.pairs == 1


def test_without_embedding_there_is_no_pair() -> None:
    assert Role.TEXT not in make([3], embed=False).roles


def test_a_frequent_answer_has_its_class_where_it_begins_to_be_predicted() -> None:
    seen = set()
    for epoch in range(20):
        batch = make([3, 7], epoch=epoch)
        for row, column in (batch.classes != IGNORED).nonzero().tolist():
            assert batch.classes[row, column] == 0 and batch.roles[row, column] == Role.ANSWER
            assert batch.labels[row, column] == TOKENIZER.encode(" yes")[0]
            assert column == 0 or batch.labels[row, column - 1] == IGNORED, "the first token that is predicted"
        answers = [segment for row in range(2) for segment in segments(batch, row) if segment[2][0] == Role.ANSWER]
        frequent = [labels for _, labels, _ in answers if labels[-2:-1] == TOKENIZER.encode(" yes")[-1:]]
        assert batch.totals.classified == int((batch.classes != IGNORED).sum()) == len(frequent)
        seen.add(len(answers) - len(frequent))
    assert len(seen) > 1, "the other answer, which is not frequent, was drawn too"
    assert (make([3], mode="text").classes == IGNORED).all() and make([3], mode="text").totals.classified == 0
