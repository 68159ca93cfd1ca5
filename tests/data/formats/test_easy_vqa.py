import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.formats.easy_vqa import read


def test_images_of_train_and_test_share_numbers_but_not_ids(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        records: list[object] = [["is it red?", "yes", i] for i in range(30)] + [["what is it?", "square", 0], "broken"]
        (tmp_path / split / "questions.json").write_text(json.dumps(records))
    parsed = read(SourceSettings(format="easy_vqa", path=str(tmp_path)))
    assert len(parsed.splits["train"]) + len(parsed.splits["validation"]) == 30 and parsed.splits["validation"]
    first = parsed.splits["test"][0]
    assert first.image == str(tmp_path / "test" / "images" / "0.png")
    assert [(q.id, q.text, q.answers) for q in first.questions] == [
        ("test-0#question0", "is it red?", ["yes"]),
        ("test-0#question1", "what is it?", ["square"]),
    ]
    assert [problem.where for problem in parsed.problems] == ["train/questions.json [31]", "test/questions.json [31]"]
    assert parsed.redistributable


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not in the form of easy-VQA"):
        read(SourceSettings(format="easy_vqa", path=str(tmp_path)))


def test_the_real_pack(real_data: Callable[[str], Path]) -> None:
    splits = read(SourceSettings(format="easy_vqa", path=str(real_data("easy_vqa")))).splits
    assert len(splits["train"]) + len(splits["validation"]) == 4000 and len(splits["test"]) == 1000
    assert sum(len(e.questions) for examples in splits.values() for e in examples) == 48248
    assert all(Path(str(e.image)).is_file() for e in splits["test"])
