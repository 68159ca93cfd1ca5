"""A file that is broken off leaves what was there before, and nothing beside it."""

import os
from pathlib import Path

import pytest

from mmbench.config.whole_file import whole_file


def test_the_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "scores.json"
    with whole_file(path) as part:
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert [file.name for file in path.parent.iterdir()] == ["scores.json"]


def test_it_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    with whole_file(tmp_path / "whole") as part:
        part.write_text("")
    assert os.stat(tmp_path / "whole").st_mode == os.stat(tmp_path / "usual").st_mode


@pytest.mark.parametrize("broken_by", [KeyboardInterrupt, ValueError])
def test_a_broken_off_file_leaves_the_old_one(broken_by: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text("old")
    with pytest.raises(broken_by), whole_file(path) as part:
        part.write_text("half")
        raise broken_by
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["scores.json"]
