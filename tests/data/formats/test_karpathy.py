import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.formats.karpathy import read


def write(folder: Path, images: list[dict[str, object]]) -> SourceSettings:
    (folder / "dataset_coco.json").write_text(json.dumps({"images": images, "dataset": "coco"}))
    return SourceSettings(format="karpathy", path=str(folder / "dataset_coco.json"), images=str(folder / "images"))


def image(name: str, split: str, path: str = "val2014") -> dict[str, object]:
    sentences = [{"raw": f"A {split} dog. ", "tokens": ["a"]}, {"raw": "Another."}]
    return {"filename": name, "filepath": path, "split": split, "sentences": sentences, "cocoid": 1}


def test_restval_trains_and_file_paths_count(tmp_path: Path, write_images: Callable[..., None]) -> None:
    write_images(tmp_path / "images" / "train2014", ["a.jpg"])
    write_images(tmp_path / "images", ["b.jpg", "c.jpg", "d.jpg"])
    images = [
        image("a.jpg", "train", "train2014"),
        image("b.jpg", "restval"),
        image("c.jpg", "val"),
        image("d.jpg", "test"),
    ]
    parsed = read(write(tmp_path, images))
    found = {split: [(e.image_id, e.captions) for e in examples] for split, examples in parsed.splits.items()}
    assert found == {
        "train": [("a.jpg", ["A train dog.", "Another."]), ("b.jpg", ["A restval dog.", "Another."])],
        "validation": [("c.jpg", ["A val dog.", "Another."])],
        "test": [("d.jpg", ["A test dog.", "Another."])],
    }
    assert parsed.splits["train"][0].image == str(tmp_path / "images" / "train2014" / "a.jpg")
    assert parsed.splits["train"][1].image == str(tmp_path / "images" / "b.jpg")


def test_records_of_another_form_are_noted(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    parsed = read(write(tmp_path, [image("a.jpg", "test"), image("b.jpg", "?"), {"split": "train"}]))
    assert [p.where for p in parsed.problems] == ["dataset_coco.json images[1]", "dataset_coco.json images[2]"]
    assert parsed.num_records == 3


def test_other_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(UserError, match="not in Karpathy's form"):
        read(write(tmp_path, []))
    (tmp_path / "dataset_coco.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        read(SourceSettings(format="karpathy", path=str(tmp_path)))
