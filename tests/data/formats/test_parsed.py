from pathlib import Path

import pytest

from mmbench.config.errors import UserError
from mmbench.data.example import Example, Question
from mmbench.data.formats.parsed import name_kinds, read_text, with_validation


def test_kinds_are_the_most_usual_first_words() -> None:
    texts = ["How many dogs?"] * 50 + ["how  many cats?"] * 3 + ["Is it?"] * 46 + ["rare words here"] + ["a b", ""]
    questions = [Question(str(i), text, ["x"], "") for i, text in enumerate(texts)]
    questions.append(Question("named", "How many?", ["x"], "count"))
    name_kinds({"train": [Example("a", "", [], questions)]})
    kinds = [question.kind for question in questions]
    assert kinds[:53] == ["how many"] * 53 and kinds[53] == "is it?" and kinds[-1] == "count"


def test_there_are_at_most_twenty_kinds_and_rare_ones_are_other() -> None:
    questions = [Question(f"{i}", f"w{i % 30} x", ["x"], "") for i in range(3000)] + [
        Question("r", "so rare", ["x"], "")
    ]
    name_kinds({"train": [Example("a", "", [], questions)]})
    assert len({question.kind for question in questions}) == 20 and questions[-1].kind == "other"


def test_a_validation_split_that_exists_is_kept() -> None:
    splits = {"train": [Example(str(i), "") for i in range(50)], "validation": [Example("v", "")]}
    assert with_validation(splits) is splits


def test_text_may_be_gzipped_or_broken(tmp_path: Path) -> None:
    (tmp_path / "a.json.gz").write_bytes(b"no gzip")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\xfa")
    for file in ("a.json.gz", "b.txt"):
        with pytest.raises(UserError, match="cannot be read as UTF-8"):
            read_text(tmp_path / file)
