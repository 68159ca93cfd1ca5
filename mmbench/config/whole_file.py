"""Writing a file whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the name when the block ends, and goes if the block is broken off.

    The folder is made where it is missing. Two writers never share a half-written file: the last one wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())  # or a power cut might leave the name and not the content
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
