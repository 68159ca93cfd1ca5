from collections.abc import Callable
from pathlib import Path

import pytest

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.formats.daquar import read


def write(folder: Path, rows: list[str]) -> SourceSettings:
    (folder / "data.csv").write_text("\n".join(["question,answer,image_id", *rows]) + "\n")
    (folder / "train_images_list.txt").write_text("\n".join(f"image{i}" for i in range(1, 30)))
    (folder / "test_images_list.txt").write_text("image0\nimage100\n")
    return SourceSettings(format="daquar", path=str(folder))


def test_an_answer_of_several_objects_stays_whole(tmp_path: Path) -> None:
    rows = ['what is on the desk,"book, scissor",image0', "how many chairs,2,image1", "what is it,lamp,image100"]
    parsed = read(write(tmp_path, rows))
    assert [q.answers for q in parsed.splits["test"][0].questions] == [["book, scissor"]]
    assert parsed.splits["test"][1].image == str(tmp_path / "image100.jpg")
    assert len(parsed.splits["train"]) + len(parsed.splits["validation"]) == 29 and parsed.splits["validation"]


def test_questions_of_images_in_no_list_are_counted(tmp_path: Path) -> None:
    parsed = read(write(tmp_path, ["what,lamp,image0", "what,lamp,image77"]))
    assert parsed.left_out["questions of images in no split"] == 1


def test_short_lines_are_noted_and_a_wrong_header_refused(tmp_path: Path) -> None:
    source = write(tmp_path, ["what,lamp,image0", "what"])
    assert [p.where for p in read(source).problems] == ["data.csv line 3"]
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="columns question, answer and image_id"):
        read(source)


def test_the_real_pack(real_data: Callable[[str], Path]) -> None:
    splits = read(SourceSettings(format="daquar", path=str(real_data("daquar")))).splits
    assert len(splits["train"]) + len(splits["validation"]) == 640 and len(splits["test"]) == 155
    assert sum(len(e.questions) for examples in splits.values() for e in examples) == 6795
    assert all(Path(str(e.image)).is_file() for examples in splits.values() for e in examples)
