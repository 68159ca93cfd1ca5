from collections.abc import Callable
from pathlib import Path

import pytest

from mmbench.config.errors import UserError
from mmbench.data.detect import detect_format


def formats(path: Path) -> list[str]:
    sources = detect_format(path)
    assert all(source.path == str(path) for source in sources)
    return [source.format for source in sources]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["data.jsonl"], ["jsonl"]),
        (["Flickr8k.token.txt"], ["flickr"]),
        (["results_20130124.token"], ["flickr"]),
        (["dataset_flickr8k.json", "Flickr8k.token.txt"], ["karpathy"]),
        (["annotations/captions_val2017.json"], ["coco_captions"]),
        (["v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json"], ["vqa_v2"]),
        (["questions.json.gz", "annotations.json.gz"], ["vqa_v2"]),
        (["train/questions.json", "test/questions.json"], ["easy_vqa"]),
        (["data.csv", "train_images_list.txt", "test_images_list.txt"], ["daquar"]),
        (["captions_train2014.json", "questions.json", "annotations.json"], ["coco_captions", "vqa_v2"]),
    ],
)
def test_folders(tmp_path: Path, files: list[str], expected: list[str]) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert formats(tmp_path) == expected


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("a.jsonl", "", "jsonl"),
        ("a.token.txt", "", "flickr"),
        ("captions_val2017.json", "", "coco_captions"),
        ("my.json", '{"images": [{"filename": "a", "split": "test", "sentences": []}]}', "karpathy"),
    ],
)
def test_files(tmp_path: Path, file: str, content: str, expected: str) -> None:
    (tmp_path / file).write_text(content)
    assert formats(tmp_path / file) == [expected]


def test_what_is_not_recognised_says_what_would_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no known format. Recognised are: a .jsonl file"):
        detect_format(tmp_path)
    with pytest.raises(UserError, match="there is no data at"):
        detect_format(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["flickr8k", "easy_vqa", "daquar", "vqa_v2"])
def test_real_packs(real_data: Callable[[str], Path], name: str) -> None:
    assert formats(real_data(name)) == ["flickr" if name == "flickr8k" else name]
