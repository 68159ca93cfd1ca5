import numpy as np
import pytest

from mmbench.config.errors import UserError
from mmbench.data.batch import Role
from mmbench.data.example import Example, Question
from mmbench.data.table import TextTable
from mmbench.data.tokenizer import train_tokenizer

TOKENIZER = train_tokenizer(["Caption: a dog on the grass", "Q: is it red? A: yes"] * 5, 300)
EXAMPLES = [
    Example("x", "x.png", ["a dog", "the grass"], [Question("q1", "is it red?", ["yes", "no", "no", "yes", "?"], "k")]),
    Example("y", "y.png", [], [Question("q2", "is it?", ["yes"], "k")]),
]


def entry(table: TextTable, number: int) -> slice:
    return slice(table.offsets[number], table.offsets[number + 1])


def test_ids_and_labels_of_a_caption_are_one_text_shifted_by_one() -> None:
    table = TextTable(EXAMPLES, TOKENIZER, 48)
    prompt, text = TOKENIZER.encode("Caption:"), TOKENIZER.encode(" a dog")
    here = entry(table, 0)
    assert table.token_ids[here].tolist() == prompt + text
    assert table.next_ids[here].tolist() == [*prompt[1:], *text, TOKENIZER.eos_id]
    assert table.supervised[here].tolist() == [False] * (len(prompt) - 1) + [True] * (len(text) + 1)
    assert set(table.roles[here]) == {Role.CAPTION}


def test_the_answers_that_tie_each_have_an_entry() -> None:
    table = TextTable(EXAMPLES, TOKENIZER, 48)
    assert table.answer_offsets.tolist() == [2, 4, 5]
    for number, answer in ((2, " yes"), (3, " no"), (4, " yes")):
        here = entry(table, number)
        predicted = table.next_ids[here][table.supervised[here]].tolist()
        assert predicted == [*TOKENIZER.encode(answer), TOKENIZER.eos_id]
    assert table.names == ["x#caption0", "x#caption1", "q1", "q1", "q2"]


def test_a_pair_holds_the_bare_caption_and_a_query() -> None:
    table = TextTable(EXAMPLES, TOKENIZER, 48)
    here = entry(table, int(table.pair_text(np.array([1]))[0]))
    assert table.token_ids[here].tolist() == [*TOKENIZER.encode(" the grass"), TOKENIZER.pad_id]
    assert table.roles[here].tolist()[-2:] == [Role.TEXT, Role.TEXT_QUERY]
    assert not table.supervised[here].any()
    assert table.roles[entry(table, table.image_query)].tolist() == [Role.IMAGE_QUERY]


def test_a_cut_text_is_followed_by_its_own_next_token_not_by_eos() -> None:
    whole = TOKENIZER.encode("Caption:") + TOKENIZER.encode(" a dog")
    table = TextTable([EXAMPLES[0], *[Example(f"{i}", "", ["a dog"]) for i in range(200)]], TOKENIZER, len(whole) - 1)
    here = entry(table, 0)
    assert table.token_ids[here].tolist() == whole[:-1]
    assert table.next_ids[here].tolist() == whole[1:]


def test_texts_without_a_token_to_learn_are_counted_and_left_out() -> None:
    long = Question("long", "is it red? " * 30, ["yes"], "k")
    many = [Example(f"{i}", "", ["a dog"]) for i in range(150)]
    table = TextTable([Example("x", "", ["a dog"], [long]), *many], TOKENIZER, 48)
    assert table.num_left_out == 1
    assert "long" not in table.names
    assert (table.num_supervised[: len(table.names)] > 0).all()


def test_more_than_a_hundredth_of_such_texts_is_an_error() -> None:
    long = Question("long", "is it red? " * 30, ["yes"], "k")
    with pytest.raises(UserError, match="1 of 2 texts of the train split have nothing left to learn"):
        TextTable([Example("x", "", ["a dog"], [long])], TOKENIZER, 48)


def test_mean_lengths_are_those_of_the_texts_of_each_image() -> None:
    table = TextTable([*EXAMPLES, Example("z", "z.png", [], [])], TOKENIZER, 48)
    lengths = table.lengths
    assert table.mean_lengths.tolist() == [(lengths[0] + lengths[1] + lengths[2]) / 3, lengths[4], 0]
