from collections.abc import Callable
from pathlib import Path

import pytest

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.formats.flickr import read
from mmbench.data.formats.parsed import MALFORMED


@pytest.fixture
def folder(tmp_path: Path, write_images: Callable[..., None]) -> Path:
    names = [f"{i}_ab.jpg" for i in range(5)]
    write_images(tmp_path / "Images", names)
    lines = [f"{name}#{k}\tCaption {k} of {name} ." for name in names for k in range(5)]
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(lines))
    (tmp_path / "Flickr_8k.trainImages.txt").write_text("0_ab.jpg\n1_ab.jpg\n")
    (tmp_path / "Flickr_8k.devImages.txt").write_text("2_ab.jpg\n")
    (tmp_path / "Flickr_8k.testImages.txt").write_text("3_ab.jpg\n")
    return tmp_path


def source(path: Path) -> SourceSettings:
    return SourceSettings(format="flickr", path=str(path))


def test_the_split_files_decide(folder: Path) -> None:
    parsed = read(source(folder))
    assert {split: [e.image_id for e in examples] for split, examples in parsed.splits.items()} == {
        "test": ["3_ab.jpg"],
        "train": ["0_ab.jpg", "1_ab.jpg"],
        "validation": ["2_ab.jpg"],
    }
    example = parsed.splits["test"][0]
    assert example.captions == [f"Caption {k} of 3_ab.jpg ." for k in range(5)]
    assert example.image == str(folder / "Images" / "3_ab.jpg")
    assert not parsed.redistributable


def test_images_in_no_split_file_are_counted(folder: Path) -> None:
    left_out = read(source(folder)).left_out
    assert left_out["images in no split file"] == 1 and left_out["captions of images in no split file"] == 5


def test_flickr30k_names_without_ending_and_token_by_path(folder: Path) -> None:
    (folder / "Flickr8k.token.txt").rename(folder / "results_20130124.token")
    for old, new in (("train", "train"), ("dev", "val"), ("test", "test")):
        file = folder / f"Flickr_8k.{old}Images.txt"
        (folder / f"{new}.txt").write_text(file.read_text().replace(".jpg", ""))
        file.unlink()
    parsed = read(source(folder / "results_20130124.token"))
    assert [e.image_id for e in parsed.splits["validation"]] == ["2_ab.jpg"]


def test_an_image_in_two_split_files_is_not_trained_on(folder: Path) -> None:
    (folder / "Flickr_8k.trainImages.txt").write_text("0_ab.jpg\n1_ab.jpg\n3_ab.jpg\n")
    parsed = read(source(folder))
    assert [e.image_id for e in parsed.splits["train"]] == ["0_ab.jpg", "1_ab.jpg"]
    assert [e.image_id for e in parsed.splits["test"]] == ["3_ab.jpg"]
    assert parsed.left_out["images that another split file names too"] == 1


def test_malformed_lines_are_noted_with_their_number(folder: Path) -> None:
    file = folder / "Flickr8k.token.txt"
    file.write_text("no image name here\n" + file.read_text())
    problems = read(source(folder)).problems
    assert [(p.what, p.where) for p in problems] == [(MALFORMED, "Flickr8k.token.txt line 1")]


def test_missing_split_files_are_an_error(folder: Path) -> None:
    (folder / "Flickr_8k.testImages.txt").unlink()
    with pytest.raises(UserError, match="has no test split file"):
        read(source(folder))


def test_a_given_image_folder_must_exist(folder: Path) -> None:
    with pytest.raises(UserError, match="there is no image folder"):
        read(SourceSettings(format="flickr", path=str(folder), images=str(folder / "nowhere")))


def test_the_real_pack(real_data: Callable[[str], Path]) -> None:
    parsed = read(source(real_data("flickr8k")))
    assert {name: len(examples) for name, examples in parsed.splits.items()} == {
        "train": 5500,
        "validation": 500,
        "test": 1000,
    }
    assert all(len(e.captions) == 5 and Path(str(e.image)).is_file() for e in parsed.splits["test"])
