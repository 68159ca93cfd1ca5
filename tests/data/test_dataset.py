import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmbench.config.data import DataSettings, ScenesSettings, SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.dataset import load_dataset


def settings(path: Path, **kwargs: object) -> DataSettings:
    data = DataSettings(name="own", sources=[SourceSettings(format="jsonl", path=str(path))])
    for name, value in kwargs.items():
        setattr(data, name, value)
    return data


def test_report_tasks_and_kinds(own_data: Path) -> None:
    dataset = load_dataset(settings(own_data))
    assert list(dataset.splits) == ["train", "validation", "test"]
    assert dataset.report()["train"] == {"images": 24, "captions": 72, "questions": 48}
    assert dataset.tasks() == ("caption", "answer", "retrieve")
    assert [q.kind for q in dataset.splits["test"].examples[0].questions] == ["how many", "thing"]


def test_use_takes_one_kind_of_text(own_data: Path) -> None:
    data = settings(own_data)
    data.sources[0].use = ["questions"]
    dataset = load_dataset(data)
    assert dataset.tasks() == ("answer",) and dataset.report()["train"]["captions"] == 0
    data.sources[0].use = []
    with pytest.raises(UserError, match="empty 'use'"):
        load_dataset(data)


def test_limits_keep_a_fixed_subset_in_order(own_data: Path) -> None:
    dataset = load_dataset(settings(own_data, max_train_images=5, max_test_images=2))
    ids = [e.image_id for e in dataset.splits["train"].examples]
    assert len(ids) == 5 and len(dataset.splits["test"].examples) == len(dataset.splits["validation"].examples) == 2
    every = [e.image_id for e in load_dataset(settings(own_data)).splits["train"].examples]
    assert ids == [name for name in every if name in ids] != every[:5]
    more = [e.image_id for e in load_dataset(settings(own_data, max_train_images=9)).splits["train"].examples]
    assert set(ids) < set(more)
    with pytest.raises(UserError, match="max_train_images is 0"):
        load_dataset(settings(own_data, max_train_images=0))


def test_the_fingerprint_tells_texts_images_and_limits_apart(own_data: Path, tmp_path: Path) -> None:
    first = load_dataset(settings(own_data)).fingerprint
    assert load_dataset(settings(own_data)).fingerprint == first
    assert load_dataset(settings(own_data, max_train_images=5)).fingerprint != first
    moved = own_data.rename(tmp_path / "elsewhere")
    assert load_dataset(settings(moved)).fingerprint == first
    (moved / "photos" / "train0.png").write_bytes(b"")
    changed = load_dataset(settings(moved)).fingerprint
    assert changed != first
    file = moved / "data.jsonl"
    file.write_text(file.read_text().replace("caption one", "caption uno"))
    assert load_dataset(settings(moved)).fingerprint not in (first, changed)


def test_choices_and_labels_are_part_of_the_fingerprint(own_data: Path) -> None:
    file, found = own_data / "data.jsonl", set()
    plain = file.read_text()
    for extra in ("", ', "choices": ["dog", "cow"]', ', "choices": ["dog", "hen"]'):
        file.write_text(plain.replace('"answers": ["dog", "cat"]', f'"answers": ["dog", "dog", "cat"]{extra}'))
        found.add(load_dataset(settings(own_data)).fingerprint)
    assert load_dataset(settings(own_data)).tasks() == ("caption", "answer", "choose", "retrieve")
    file.write_text(plain.replace('"split": "test"', '"split": "test", "label": "dogs"'))
    found.add(load_dataset(settings(own_data)).fingerprint)
    assert len(found) == 4


def test_the_fingerprint_of_scenes_is_that_of_former_versions() -> None:
    scenes = ScenesSettings(train=8, validation=2, test=3, composition=2)
    data = DataSettings(sources=[SourceSettings(scenes=scenes)])
    assert load_dataset(data).fingerprint[:16] == "6f8f8c36c17248ed"
    scenes.aspects = [0.5, 2.0]
    assert load_dataset(data).fingerprint[:16] != "6f8f8c36c17248ed"


def test_the_fingerprint_of_scenes_follows_their_seed() -> None:
    def fingerprint(seed: int) -> str:
        scenes = ScenesSettings(seed=seed, train=8, validation=2, test=3, composition=2)
        return load_dataset(DataSettings(sources=[SourceSettings(scenes=scenes)])).fingerprint

    assert fingerprint(0) == fingerprint(0) != fingerprint(1)


def test_empty_texts_are_left_out_and_counted(tmp_path: Path) -> None:
    question = {"question": "what?", "answers": [" ", ""]}
    lines = [{"image": f"{s}.png", "split": s, "captions": ["a dog"]} for s in ("train", "validation", "test")]
    lines[0]["captions"] = ["a dog", "  "]
    lines[0]["questions"] = [question, {"question": "", "answers": ["x"]}]
    lines.append({"image": "bare.png", "split": "test"})
    (tmp_path / "d.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    dataset = load_dataset(settings(tmp_path))
    assert dataset.left_out == {"empty captions": 1, "questions without text or answers": 2, "images without text": 1}
    assert dataset.report()["train"] == {"images": 1, "captions": 1, "questions": 0}


def test_a_few_malformed_lines_are_left_out_more_are_an_error(own_data: Path) -> None:
    file = own_data / "data.jsonl"
    file.write_text(file.read_text() + "{\n")
    with pytest.raises(UserError, match=r"1 of 37 records .* malformed; the first: data.jsonl line 37: no JSON"):
        load_dataset(settings(own_data))
    assert load_dataset(settings(own_data, max_broken_share=0.05)).left_out["malformed records"] == 1


def test_empty_splits_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(json.dumps({"image": "a", "split": "train", "captions": ["x"]}))
    with pytest.raises(UserError, match="no image with text in the test split"):
        load_dataset(settings(tmp_path))


def test_train_and_test_must_share_a_kind_of_text(tmp_path: Path) -> None:
    lines = [
        {"image": "a", "split": "train", "captions": ["x"]},
        {"image": "v", "split": "validation", "captions": ["x"]},
        {"image": "b", "split": "test", "questions": [{"question": "?", "answers": ["y"]}]},
    ]
    (tmp_path / "d.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    with pytest.raises(UserError, match="no kind of text"):
        load_dataset(settings(tmp_path))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (SourceSettings(format="jsonl", path="/nowhere/at/all"), "there is no data at '/nowhere/at/all'"),
        (SourceSettings(format="jsonl"), "has no 'path'"),
        (SourceSettings(format="flicker", path="."), "did you mean 'flickr'"),  # type: ignore[arg-type]
    ],
)
def test_sources_that_cannot_be_read(source: SourceSettings, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_dataset(DataSettings(name="x", sources=[source]))


def test_two_sources_are_joined(tmp_path: Path, own_data: Path, write_images: Callable[..., None]) -> None:
    both = settings(own_data)
    both.sources[0].use = ["captions"]
    both.sources.append(SourceSettings(format="jsonl", path=str(own_data), use=["questions"]))
    joined, whole = load_dataset(both), load_dataset(settings(own_data))
    assert joined.report() == whole.report()
    assert joined.fingerprint == whole.fingerprint
