"""A folder is there whole or not at all, also when the process that writes it is killed."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mmbench.config.errors import UserError
from mmbench.interchange.whole_folder import whole_folder

WRITER = """
import sys
from pathlib import Path
from mmbench.interchange.whole_folder import whole_folder
with whole_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("written")
    print("begun", flush=True)
    sys.stdin.read()
"""


def test_it_takes_its_name_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "here"
    with whole_folder(target) as folder:
        (folder / "file").write_text("content")
        assert folder.parent.parent == target.parent and not target.exists()
    assert (target / "file").read_text() == "content" and list(target.parent.iterdir()) == [target]
    (tmp_path / "usual").mkdir()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_nothing_is_left_of_what_was_broken_off(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "here") as folder:
        (folder / "file").write_text(str(1 // 0))
    assert not list(tmp_path.iterdir())


def test_what_is_there_stays_also_where_it_came_meanwhile(tmp_path: Path) -> None:
    target = tmp_path / "here"
    with pytest.raises(UserError, match="is there already"), whole_folder(target):
        target.mkdir()
    assert list(tmp_path.iterdir()) == [target]
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"), whole_folder(tmp_path / "file" / "here"):
        pass


def test_what_a_killed_process_left_goes_and_what_another_is_writing_stays(tmp_path: Path) -> None:
    words = [sys.executable, "-c", WRITER, str(tmp_path / "a[b]")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "begun\n"
        (left,) = tmp_path.iterdir()
        others = [tmp_path / ".a[b]c.x.part", tmp_path / ".ab.x.part", tmp_path / ".a[b].x"]
        for other in others:
            other.mkdir()
        with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "a[b]"):
            raise ZeroDivisionError
        assert left.is_dir() and (left / "a[b]" / "half").exists()
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    assert left.is_dir()
    with whole_folder(tmp_path / "a[b]"):
        assert not left.exists()
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "a[b]"])
