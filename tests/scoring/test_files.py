"""Files that cannot be read, or that hold something else, are refused by name."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from mmbench.config.errors import UserError
from mmbench.scoring.arrays import read_array
from mmbench.scoring.files import read_json
from mmbench.scoring.rows import column, ids, one_each, rows_of, rows_under
from tests.scoring.files import refused, write_array, write_json


def test_compressed_equals_plain_whatever_the_name(tmp_path: Path) -> None:
    content = [{"image_id": 1, "caption": "ça va"}]
    assert read_json(write_json(tmp_path / "a.json", content)) == content
    assert read_json(write_json(tmp_path / "a.json.gz", content)) == content
    (tmp_path / "b.json").write_bytes((tmp_path / "a.json.gz").read_bytes())
    assert read_json(tmp_path / "b.json") == content
    array = np.arange(6.0).reshape(2, 3)
    plain = write_array(tmp_path / "a.npy", array)
    (tmp_path / "a.npy.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert np.array_equal(read_array(plain), array)
    assert np.array_equal(read_array(tmp_path / "a.npy.gz"), array)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'[{"image_id": 1},\n {"image_id" 2}]', "is not JSON: Expecting ':' delimiter in line 2, column 14"),
        (b"", "is not JSON: Expecting value in line 1"),
        (b"[1, \xff]", "is not text in UTF-8"),
        (gzip.compress(b"[1, 2]")[:-9], "is compressed, but damaged"),
        (b"\x1f\x8bnonsense", "is compressed, but damaged"),
    ],
)
def test_what_is_not_json(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(UserError) as error:
        read_json(path)
    assert message in refused(error) and str(path) in refused(error)


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        read_json(tmp_path / "none.json")
    with pytest.raises(UserError, match="is a folder"):
        read_json(tmp_path)
    with pytest.raises(UserError, match="is a folder"):
        read_array(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "holds a list; an object with a list under 'annotations' is needed"),
        (None, "holds null; an object"),
        ({"questions": [1]}, "has no 'annotations': a list is needed there; the file has 'questions'"),
        ({"annotations": {"1": "x"}}, "'annotations' of 'a.json' is an object; a list of objects is needed"),
        ({"annotations": []}, "no samples: 'annotations' of 'a.json' is an empty list"),
    ],
)
def test_a_wrong_shape_says_what_was_found(content: object, message: str) -> None:
    with pytest.raises(UserError) as error:
        rows_under(content, "annotations", Path("a.json"))
    assert message in refused(error)


def test_results_are_a_list() -> None:
    with pytest.raises(UserError, match=r"'r\.json' is an object; a list of objects is needed"):
        rows_of({"results": []}, Path("r.json"))


def test_a_row_without_the_field_is_counted_from_one() -> None:
    with pytest.raises(UserError, match=r"row 2 of 'r\.json' has no 'caption'"):
        column([{"caption": "x"}, {"text": "y"}], "caption", Path("r.json"))
    with pytest.raises(UserError, match=r"row 1 of 'r\.json' is the string 'x'; an object"):
        column(["x"], "caption", Path("r.json"))  # type: ignore[list-item]


@pytest.mark.parametrize("values", [[1, "1"], [1, True], [1.0, 2.0], [None], [[1]]])
def test_ids_are_numbers_or_strings_in_all_rows(values: list[object]) -> None:
    with pytest.raises(UserError, match="ids are whole numbers, or are strings"):
        ids([{"id": value} for value in values], "id", Path("r.json"))


def test_repeated_rows_are_dropped_and_contradictions_refused() -> None:
    assert one_each([3, 1, 3], ["a", "b", "a"], "image", Path("r.json")) == ({3: "a", 1: "b"}, 1)
    with pytest.raises(UserError, match=r"image 3 has more than one row in 'r\.json', and they differ: 'a' and 'c'"):
        one_each([3, 1, 3], ["a", "b", "c"], "image", Path("r.json"))


def test_arrays_are_mapped_and_of_native_byte_order(tmp_path: Path) -> None:
    assert isinstance(read_array(write_array(tmp_path / "a.npy", [1.0, 2.0])), np.memmap)
    swapped = np.array([1.0, 2.0], dtype=">f4" if np.little_endian else "<f4")
    native = read_array(write_array(tmp_path / "b.npy", swapped))
    assert native.dtype.isnative and native.tolist() == [1.0, 2.0]


def test_what_is_not_an_array_of_numbers(tmp_path: Path) -> None:
    for values, name in ((["a", "b"], "<U1"), ([True], "bool"), ([1j], "complex128")):
        with pytest.raises(UserError, match=f"values of type {name}; real numbers"):
            read_array(write_array(tmp_path / "a.npy", values))
    (tmp_path / "text.npy").write_text("0 1 2 3 4 5\n")
    with pytest.raises(UserError, match=r"cannot be read as an array, as numpy\.save writes it: the magic string"):
        read_array(tmp_path / "text.npy")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="cannot be read as an array"):
        read_array(tmp_path / "objects.npy")
    np.savez(tmp_path / "many.npz", a=np.ones(2))
    with pytest.raises(UserError, match="cannot be read as an array"):
        read_array(tmp_path / "many.npz")
    cut = write_array(tmp_path / "cut.npy", np.ones(100))
    cut.write_bytes(cut.read_bytes()[:-8])
    with pytest.raises(UserError, match="cannot be read as an array"):
        read_array(cut)
