import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.formats.coco_captions import read


def write(folder: Path, name: str, ids: range) -> None:
    content = {
        "info": {},
        "images": [{"id": i, "file_name": f"{i:012d}.jpg"} for i in ids],
        "annotations": [
            {"id": 10 * i + k, "image_id": i, "caption": f"caption {k} of {i}\n"} for i in ids for k in (0, 1)
        ],
    }
    (folder / "annotations").mkdir(exist_ok=True)
    text = json.dumps(content).encode()
    (folder / "annotations" / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)


def test_val_is_tested_and_a_tenth_of_train_validates(tmp_path: Path, write_images: Callable[..., None]) -> None:
    write(tmp_path, "captions_train2017.json", range(100, 160))
    write(tmp_path, "captions_val2017.json.gz", range(5))
    write_images(tmp_path / "val2017", [f"{i:012d}.jpg" for i in range(5)])
    parsed = read(SourceSettings(format="coco_captions", path=str(tmp_path)))
    assert len(parsed.splits["test"]) == 5
    assert 1 <= len(parsed.splits["validation"]) <= 15
    assert len(parsed.splits["train"]) + len(parsed.splits["validation"]) == 60
    example = parsed.splits["test"][3]
    assert example.captions == ["caption 0 of 3", "caption 1 of 3"]
    assert example.image == str(tmp_path / "val2017" / "000000000003.jpg")
    again = read(SourceSettings(format="coco_captions", path=str(tmp_path)))
    assert [e.image_id for e in again.splits["validation"]] == [e.image_id for e in parsed.splits["validation"]]


def test_a_test_file_makes_val_the_validation_split(tmp_path: Path) -> None:
    for name, ids in (("train", range(6)), ("val", range(6, 9)), ("test", range(9, 13))):
        write(tmp_path, f"captions_{name}2017.json", ids)
    splits = read(SourceSettings(format="coco_captions", path=str(tmp_path))).splits
    assert {split: len(examples) for split, examples in splits.items()} == {"train": 6, "validation": 3, "test": 4}


def test_other_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "captions_val2017.json").write_text('{"images": []}')
    with pytest.raises(UserError, match="not in COCO's form"):
        read(SourceSettings(format="coco_captions", path=str(tmp_path)))


def test_the_real_captions(real_data: Callable[[str], Path]) -> None:
    examples = read(SourceSettings(format="coco_captions", path=str(real_data("metrics") / "coco_captions"))).splits[
        "test"
    ]
    assert len(examples) == 5000 and sum(len(example.captions) for example in examples) == 25014
