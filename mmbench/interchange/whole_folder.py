"""Writing a folder whole or not at all."""

import contextlib
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mmbench.config.errors import UserError

_UNFINISHED = ".part"


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """An empty folder to write to; it becomes ``target`` when the block ends, and goes if the block is broken off.

    It lies beside ``target``. What a killed process has left there of the same target goes too, and what another one
    is writing stays.

    Raises:
        UserError: ``target`` is there already, or nothing can be written beside it.
    """
    refuse_existing(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for left in target.parent.glob(f".{glob.escape(target.name)}.*{_UNFINISHED}"):
            _remove_unless_in_use(left)
        made = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=_UNFINISHED))
    except OSError as error:
        raise UserError(f"'{target}' cannot be written ({error.strerror}): give another folder") from error
    try:
        with _locked(made):
            folder = made / target.name  # made by hand: unlike its parent, it is for everybody to read
            folder.mkdir()
            yield folder
            refuse_existing(target)
            folder.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def refuse_existing(target: Path) -> None:
    """Never write into what is there.

    Raises:
        UserError: ``target`` is there already.
    """
    if target.exists():
        raise UserError(f"'{target}' is there already: give another folder, or remove it")


def _remove_unless_in_use(folder: Path) -> None:
    with contextlib.suppress(OSError), _locked(folder):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Held as long as the process lives.

    Raises:
        OSError: another process has it.
    """
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(opened)
