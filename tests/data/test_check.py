import json
import re
import shutil
from pathlib import Path

import pytest

from mmbench.config.data import DataSettings, ScenesSettings, SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.check import check_data, render


def test_sound_data(own_data: Path) -> None:
    seen: list[tuple[int, int]] = []
    check = check_data(own_data, lambda done, every: seen.append((done, every)))
    assert check.problems == {} and check.unusable == ""
    assert check.counts["test"] == {"images": 6, "captions": 18, "questions": 12}
    assert check.kinds == {"how many": 36, "thing": 36} and seen[-1] == (36, 36)
    text = render(check)
    assert "Nothing is broken." in text and text.endswith("Ready for a comparison.")
    assert "question: what is it? -> dog, cat [thing]" in text


def test_everything_that_can_be_wrong_is_found(own_data: Path) -> None:
    photos = own_data / "photos"
    (photos / "train0.png").unlink()
    (photos / "train1.png").write_bytes(b"broken")
    shutil.copy(photos / "train2.png", photos / "train3.png")
    shutil.copy(photos / "train2.png", photos / "test0.png")
    lines = [json.loads(line) for line in (own_data / "data.jsonl").read_text().splitlines()]
    lines[4]["captions"] = ["", "twice", "twice"]
    lines[5]["questions"] = [
        {"id": "x", "question": "why?", "answers": []},
        {"id": "y", "question": " ", "answers": ["z"]},
    ]
    lines[6]["questions"] = [{"id": "y", "question": "why?", "answers": ["z"]}]
    lines[7]["captions"] = ["very long " * 40]
    (own_data / "data.jsonl").write_text("\n".join([*map(json.dumps, lines), "{"]))
    check = check_data(own_data)
    problems = {what: [item.split(" (")[0].split(":")[0] for item in items] for what, items in check.problems.items()}
    assert problems == {
        "malformed records": ["data.jsonl line 37"],
        "duplicate question ids": ["y"],
        "empty captions": ["photos/train4.png#caption0"],
        "captions given twice for an image": ["photos/train4.png#caption2"],
        "questions without answers": ["x"],
        "questions without text": ["y"],
        "missing images": ["photos/train0.png"],
        "corrupt images": ["photos/train1.png"],
        "pairs of images of the same content": ["photos/train2.png"],
        "pairs of images of the same content in different splits": ["photos/train2.png"],
        "texts that are cut": ["photos/train7.png#caption0"],
    }
    assert "malformed" in check.unusable
    assert "A comparison refuses this" in render(check)


def test_too_many_broken_images_make_data_unusable(own_data: Path) -> None:
    (own_data / "photos" / "train0.png").unlink()
    assert "1 of 36 images are missing or corrupt" in check_data(own_data).unusable
    sources = [SourceSettings(format="jsonl", path=str(own_data))]
    assert check_data(DataSettings(sources=sources, max_broken_share=0.1)).unusable == ""


def test_an_empty_split_is_said_not_raised(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(json.dumps({"image": "a", "split": "train", "captions": ["x"]}))
    assert "test split" in check_data(tmp_path).unusable


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no known format"):
        check_data(tmp_path)


def test_scenes() -> None:
    scenes = ScenesSettings(train=30, validation=4, test=4, composition=3)
    check = check_data(DataSettings(sources=[SourceSettings(scenes=scenes)]))
    assert check.unusable == "" and len(check.kinds) >= 6 and "composition" in render(check)
    assert check.num_choices == sum(check.kinds.values()) and sum(check.labels.values()) == 41
    text = render(check)
    assert f"Multiple choice: {check.num_choices} questions" in text and "Tasks: caption, answer, choose" in text
    assert re.search(r"^Labels: (two|three|four) objects on a (dark|light) background \d+,", text, re.MULTILINE)
    assert re.search(r"^  label: .*background$", text, re.MULTILINE) and "    choices: " in text


def test_long_lists_are_shortened(own_data: Path) -> None:
    for file in (own_data / "photos").glob("train*"):
        file.unlink()
    assert "24 missing images:" in render(check_data(own_data)) and "… and 22 more" in render(
        check_data(own_data), most=2
    )
