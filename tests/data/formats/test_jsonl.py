import json
from pathlib import Path

import pytest

from mmbench.config.data import SourceSettings
from mmbench.data.formats.jsonl import read
from mmbench.data.formats.parsed import MALFORMED

GOOD = {"image": "a.jpg", "split": "train", "captions": ["A dog."], "label": "cats"}


def write(folder: Path, *lines: object) -> SourceSettings:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "data.jsonl").write_text("\n".join(texts))
    return SourceSettings(format="jsonl", path=str(folder / "data.jsonl"))


def choice(choices: object) -> dict[str, object]:
    return {**GOOD, "questions": [{"question": "What?", "answers": ["dog", "dog", "cat"], "choices": choices}]}


def test_all_fields(tmp_path: Path) -> None:
    question = {"id": 7, "question": "What?", "answers": ["dog", "cat"], "kind": "thing"}
    source = write(tmp_path, {**GOOD, "split": "test", "questions": [question, {"question": "Why?", "answers": ["x"]}]})
    example = read(source).splits["test"][0]
    assert (example.image_id, example.image, example.captions) == ("a.jpg", str(tmp_path / "a.jpg"), ["A dog."])
    assert [(q.id, q.text, q.answers, q.kind) for q in example.questions] == [
        ("7", "What?", ["dog", "cat"], "thing"),
        ("a.jpg#question1", "Why?", ["x"], ""),
    ]


def test_choices_and_labels(tmp_path: Path) -> None:
    question = {"question": "What?", "answers": ["dog", "dog", "cat"], "choices": ["a cow", "Dog", "cat"]}
    lines = [{**GOOD, "captions": [], "label": "cats"}, {"image": "a.jpg", "split": "train", "questions": [question]}]
    example = read(write(tmp_path, *lines)).splits["train"][0]
    assert example.label == "cats" and example.questions[0].choices == ["a cow", "Dog", "cat"]


def test_lines_of_one_image_are_joined(tmp_path: Path) -> None:
    question = {"question": "What?", "answers": ["dog"]}
    validation = {**GOOD, "image": "v.jpg", "split": "validation"}
    empty = {"image": "b.jpg", "split": "train"}
    lines = [GOOD, empty, {"image": "a.jpg", "split": "train", "questions": [question]}, empty, validation]
    parsed = read(write(tmp_path, *lines))
    assert [(e.image_id, len(e.captions), len(e.questions)) for e in parsed.splits["train"]] == [
        ("a.jpg", 1, 1),
        ("b.jpg", 0, 0),
    ]


def test_without_validation_a_fixed_tenth_of_train_serves(tmp_path: Path) -> None:
    source = write(tmp_path, *[{**GOOD, "image": f"{i}.jpg"} for i in range(200)])
    splits = read(source).splits
    assert 8 <= len(splits["validation"]) <= 35 and len(splits["train"]) + len(splits["validation"]) == 200


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "no JSON"),
        ("[1]", "not a JSON object"),
        ({**GOOD, "caption": "x"}, "unknown field 'caption'"),
        ({**GOOD, "split": "val"}, "'split' is \"val\"; it must be train, validation or test"),
        ({**GOOD, "image": 3}, "'image' must be the path"),
        ({**GOOD, "captions": "A dog."}, "'captions' must be a list of texts"),
        ({**GOOD, "questions": [{"text": "?"}]}, "'questions' must be an object with the text 'question'"),
        ({**GOOD, "questions": [{"question": "?", "answers": [1]}]}, "'answers' must be a list of texts"),
        ({**GOOD, "questions": [{"question": "?", "answer": ["x"]}]}, "unknown field 'answer'"),
        ({**GOOD, "label": 3}, "'label' is 3; it must be a text"),
        ({**GOOD, "label": "dogs"}, "'a.jpg' has the label 'cats' on an earlier line, and 'dogs' here"),
        (choice("dog"), "'choices' of 'What?' must be a list of texts"),
        (choice(["dog"]), "'choices' of 'What?': ['dog'] must be 2 or more different texts"),
        (choice(["cow", "cow", "dog"]), "must be 2 or more different texts"),
        (
            choice(["cow", "cat"]),
            "['cow', 'cat'] must hold exactly one of the answers that most annotators gave, ['dog']",
        ),
        ({**GOOD, "split": "test"}, "is in split 'train' on an earlier line"),
    ],
)
def test_what_is_wrong_with_a_line_is_told(tmp_path: Path, line: object, why: str) -> None:
    parsed = read(write(tmp_path, GOOD, line))
    (problem,) = parsed.problems
    assert (problem.what, problem.where) == (MALFORMED, "data.jsonl line 2")
    assert why in problem.why
    assert parsed.num_records == 2 and parsed.left_out[MALFORMED] == 1
    assert sum(len(examples) for examples in parsed.splits.values()) == 1
