"""Reading files, plain or `.gz`, with errors that name the file."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from mmbench.config.errors import UserError

_GZIP = b"\x1f\x8b"


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        UserError: it cannot be read, or is not JSON; the line is named.
    """
    data = read_bytes(path)
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        raise UserError(f"'{path}' is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except UnicodeDecodeError:
        raise UserError(f"'{path}' is not JSON: it is not text in UTF-8") from None


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, unpacked where they are compressed, whatever the file is called.

    Raises:
        UserError: it cannot be read, or is damaged.
    """
    data = _read(path)
    if not data.startswith(_GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"'{path}' is compressed, but damaged: {error}") from None


def is_compressed(path: Path) -> bool:
    """Whether a file is compressed.

    Raises:
        UserError: it cannot be read.
    """
    return _read(path, len(_GZIP)) == _GZIP


def _read(path: Path, num_bytes: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(num_bytes)
    except FileNotFoundError:
        raise UserError(f"there is no file '{path}'") from None
    except IsADirectoryError:
        raise UserError(f"'{path}' is a folder; the path of a file is needed") from None
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror}") from None
