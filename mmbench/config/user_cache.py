"""The folder in which mmbench keeps for a user what it can make again."""

import os
import sys
from pathlib import Path


def user_cache() -> Path:
    """In ``XDG_CACHE_HOME`` if set, else where the platform wants it. The folder need not exist.

    Without that variable: in ``~/.cache``, on macOS ``~/Library/Caches``, on Windows ``%LOCALAPPDATA%``.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    if given and Path(given).is_absolute():  # others are to be ignored, by the XDG Base Directory Specification
        return Path(given) / "mmbench"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "mmbench" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mmbench"
    return Path.home() / ".cache" / "mmbench"
