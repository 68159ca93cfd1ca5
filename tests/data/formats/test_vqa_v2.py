import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.formats.vqa_v2 import read


def write(folder: Path, subset: str, ids: range, compress: bool = False) -> None:
    questions = [{"question_id": 1000 * i, "image_id": i, "question": f"What is {i}?"} for i in ids]
    annotations = [
        {
            "question_id": 1000 * i,
            "image_id": i,
            "question_type": "what is",
            "answer_type": "other",
            "answers": [{"answer": "dog" if k < 7 else "cat", "answer_id": k} for k in range(10)],
        }
        for i in ids
    ]
    for name, content in (
        (f"v2_OpenEnded_mscoco_{subset}_questions.json", {"questions": questions, "data_subtype": subset}),
        (f"v2_mscoco_{subset}_annotations.json", {"annotations": annotations, "data_subtype": subset}),
    ):
        text = json.dumps(content).encode()
        (folder / (name + ".gz" * compress)).write_bytes(gzip.compress(text) if compress else text)


def test_official_files_and_image_names(tmp_path: Path, write_images: Callable[..., None]) -> None:
    write(tmp_path, "train2014", range(40))
    write(tmp_path, "val2014", range(100, 104), compress=True)
    write_images(tmp_path / "images" / "val2014", ["COCO_val2014_000000000101.jpg"])
    parsed = read(SourceSettings(format="vqa_v2", path=str(tmp_path)))
    assert len(parsed.splits["train"]) + len(parsed.splits["validation"]) == 40
    assert parsed.splits["validation"]
    example = parsed.splits["test"][1]
    assert example.image == str(tmp_path / "images" / "val2014" / "COCO_val2014_000000000101.jpg")
    question = example.questions[0]
    assert (question.id, question.text, question.kind) == ("101000", "What is 101?", "what is")
    assert question.answers == ["dog"] * 7 + ["cat"] * 3


def test_images_may_have_the_short_names_of_2017(tmp_path: Path, write_images: Callable[..., None]) -> None:
    write(tmp_path, "val2014", range(1))
    write_images(tmp_path / "all", ["000000000000.jpg"])
    source = SourceSettings(format="vqa_v2", path=str(tmp_path), images=str(tmp_path / "all"))
    assert read(source).splits["test"][0].image == str(tmp_path / "all" / "000000000000.jpg")


def test_a_question_without_annotation_has_no_answers(tmp_path: Path) -> None:
    write(tmp_path, "val2014", range(2))
    (tmp_path / "v2_mscoco_val2014_annotations.json").write_text(json.dumps({"annotations": []}))
    examples = read(SourceSettings(format="vqa_v2", path=str(tmp_path))).splits["test"]
    assert [example.questions[0].answers for example in examples] == [[], []]


def test_questions_without_annotations_file_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "val2014", range(2))
    (tmp_path / "v2_mscoco_val2014_annotations.json").unlink()
    with pytest.raises(UserError, match="no pair of"):
        read(SourceSettings(format="vqa_v2", path=str(tmp_path)))


def test_the_real_questions(real_data: Callable[[str], Path]) -> None:
    splits = read(SourceSettings(format="vqa_v2", path=str(real_data("vqa_v2")))).splits
    questions = [q for examples in splits.values() for example in examples for q in example.questions]
    assert len(questions) == 4000 and all(len(question.answers) == 10 for question in questions)
