"""Building a file or folder once, whichever process comes first, and never half of it."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from mmbench.config.errors import UserError


def build_once(target: Path, build: Callable[[Path], None]) -> Path:
    """Make ``target`` with ``build(temporary path)`` unless it exists.

    The lock is the system's and ends with the process that holds it, so a killed process leaves at most a temporary
    path, which the next one removes.

    Args:
        target: the file or folder wanted.
        build: writes the file or folder at the path it is given, on the same file system.

    Raises:
        UserError: the cache folder cannot be written.
    """
    if target.exists():
        return target
    temporary = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target.with_name(f".{target.name}.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                _remove(temporary)
                build(temporary)
                os.replace(temporary, target)
    except OSError as error:
        raise UserError(f"the cache '{target.parent}' cannot be written: {error}; free it or choose another") from error
    return target


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
