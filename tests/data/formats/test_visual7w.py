import json
from pathlib import Path
from typing import Any

import pytest

from mmbench.config.data import DataSettings, SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.dataset import load_dataset
from mmbench.data.detect import detect_format
from mmbench.data.formats.visual7w import read


def qa(number: int, **changed: Any) -> dict[str, Any]:
    wrong = ["Tile.", "Carpet.", "Cement."]
    usual = {"image_id": 1, "qa_id": number, "question": "What type of flooring?", "answer": "Wood.", "type": "what"}
    return {**usual, "multiple_choices": wrong, **changed}


def write(folder: Path, images: list[dict[str, Any]]) -> SourceSettings:
    (folder / "images").mkdir()
    file = folder / "dataset_v7w_telling.json"
    file.write_text(json.dumps({"dataset": "v7w_telling", "images": images}))
    return SourceSettings(format="visual7w", path=str(folder))


def image(number: int, split: str, *questions: dict[str, Any]) -> dict[str, Any]:
    return {"image_id": number, "filename": f"v7w_{number}.jpg", "split": split, "qa_pairs": list(questions)}


def test_questions_have_four_choices(tmp_path: Path) -> None:
    splits = ("train", "val", "test")
    source = write(tmp_path, [image(k, split, *(qa(100 * k + j) for j in range(20))) for k, split in enumerate(splits)])
    parsed = read(source)
    assert list(parsed.splits) == ["train", "validation", "test"] and not parsed.redistributable
    (example,) = parsed.splits["test"]
    assert (example.image_id, example.image) == ("v7w_2.jpg", str(tmp_path / "images" / "v7w_2.jpg"))
    question = example.questions[0]
    assert (question.id, question.text, question.kind) == ("200", "What type of flooring?", "what")
    assert question.answers == ["Wood."] and sorted(question.choices) == ["Carpet.", "Cement.", "Tile.", "Wood."]
    assert {each.choices.index("Wood.") for each in example.questions} == {0, 1, 2, 3}, "the order tells nothing"
    assert read(source).splits["test"][0].questions == example.questions
    assert detect_format(tmp_path) == [source]
    assert [found.format for found in detect_format(tmp_path / "dataset_v7w_telling.json")] == ["visual7w"]


def test_a_question_whose_answer_is_also_a_wrong_one_stays_open(tmp_path: Path) -> None:
    twice = qa(1, multiple_choices=["wood.", "Carpet.", "Cement."])
    parsed = read(write(tmp_path, [image(0, "test", twice, qa(2))]))
    assert [len(question.choices) for question in parsed.splits["test"][0].questions] == [0, 4]
    assert parsed.left_out["multiple choices without exactly one right answer (their questions stay)"] == 1


@pytest.mark.parametrize(
    "broken", [{"filename": "x"}, image(0, "dev", qa(1)), image(0, "test", qa(1, multiple_choices=[3])), 7]
)
def test_records_of_another_form_are_noted(tmp_path: Path, broken: Any) -> None:
    parsed = read(write(tmp_path, [image(1, "train", qa(1)), broken]))
    (problem,) = parsed.problems
    assert problem.where == "dataset_v7w_telling.json images[1]" and parsed.num_records == 2


def test_another_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset_v7w_telling.json").write_text('{"images": []}')
    with pytest.raises(UserError, match="not in the form of Visual7W"):
        read(SourceSettings(format="visual7w", path=str(tmp_path)))


def test_choosing_is_a_task(tmp_path: Path) -> None:
    source = write(tmp_path, [image(k, split, qa(k)) for k, split in enumerate(("train", "val", "test"))])
    assert load_dataset(DataSettings(sources=[source])).tasks() == ("answer", "choose")
