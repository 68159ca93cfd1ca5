from collections.abc import Callable
from pathlib import Path

from mmbench.data.example import Example, Question
from mmbench.data.formats.parsed import Parsed
from mmbench.data.joining import join


def question(name: str) -> Question:
    return Question(name, "what?", ["dog"], "")


def test_captions_of_one_source_meet_questions_of_another(tmp_path: Path, write_images: Callable[..., None]) -> None:
    write_images(tmp_path, ["a.png", "b.png"])
    captions = Parsed({"train": [Example("a", f"{tmp_path}/a.png", ["x", "y"], label="dogs")]}, redistributable=True)
    questions = Parsed(
        {
            "train": [Example("q-a", f"{tmp_path}/../{tmp_path.name}/a.png", ["y", "z"], [question("q")])],
            "test": [Example("q-b", f"{tmp_path}/b.png", [], [question("r")])],
        }
    )
    joined = join([captions, questions])
    (example,) = joined.splits["train"]
    assert example.image_id == "a" and example.captions == ["x", "y", "z"]
    assert example.label == "dogs"
    assert [q.id for q in example.questions] == ["q"]
    assert [e.image_id for e in joined.splits["test"]] == ["q-b"]
    assert not joined.redistributable


def test_copies_are_the_same_image_if_name_and_size_agree(tmp_path: Path, write_images: Callable[..., None]) -> None:
    write_images(tmp_path / "one", ["000000000001.jpg", "b.png"])
    (tmp_path / "two").mkdir()
    copy = (tmp_path / "one" / "000000000001.jpg").read_bytes()
    (tmp_path / "two" / "COCO_val2014_000000000001.jpg").write_bytes(copy)
    (tmp_path / "two" / "b.png").write_bytes(b"another image")
    first = Parsed({"train": [Example(n, f"{tmp_path}/one/{n}") for n in ("000000000001.jpg", "b.png")]})
    names = ("COCO_val2014_000000000001.jpg", "b.png")
    second = Parsed({"train": [Example(n, f"{tmp_path}/two/{n}") for n in names]})
    assert [e.image_id for e in join([first, second]).splits["train"]] == ["000000000001.jpg", "b.png", "b.png@2"]


def test_the_first_source_decides_the_split(tmp_path: Path, write_images: Callable[..., None]) -> None:
    write_images(tmp_path, ["a.png"])
    first = Parsed({"test": [Example("a", f"{tmp_path}/a.png", ["x"])]})
    second = Parsed({"train": [Example("a", f"{tmp_path}/a.png", [], [question("q")])]})
    joined = join([first, second])
    assert joined.splits["train"] == [] and len(joined.splits["test"][0].questions) == 1
    assert joined.left_out == {"images moved from train to test, where an earlier source has them": 1}


def test_ids_become_unique_and_repeats_within_a_source_are_noted() -> None:
    first = Parsed({"train": [Example("a", "1/a", [], [question("q"), question("q")])]})
    second = Parsed({"train": [Example("a", "2/a", [], [question("q")])]})
    joined = join([first, second])
    assert [e.image_id for e in joined.splits["train"]] == ["a", "a@2"]
    ids = [q.id for e in joined.splits["train"] for q in e.questions]
    assert len(set(ids)) == 3
    assert [(p.what, p.where) for p in joined.problems] == [("duplicate question ids", "q")]
