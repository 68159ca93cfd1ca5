"""Reading arrays of numbers from `.npy` files, plain or `.gz`."""

import io
from pathlib import Path
from typing import Any

from numpy.lib.format import open_memmap
from numpy.lib.format import read_array as read_npy
from numpy.typing import NDArray

from mmbench.config.errors import UserError
from mmbench.scoring.files import is_compressed, read_bytes


def read_array(path: Path) -> NDArray[Any]:
    """The array of a `.npy` file; mapped from the disk where it is not compressed.

    Raises:
        UserError: it cannot be read, is no such array, or holds no real numbers.
    """
    compressed = is_compressed(path)
    try:
        # "c" copies what is written to, so that torch does not complain of memory that it may not write to.
        array = read_npy(io.BytesIO(read_bytes(path))) if compressed else open_memmap(path, mode="c")
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"'{path}' cannot be read as an array, as numpy.save writes it: {error}") from None
    if array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
        raise UserError(f"'{path}' holds values of type {array.dtype}; real numbers of at most 64 bits are needed")
    native: NDArray[Any] = array.astype(array.dtype.newbyteorder("="), copy=False)
    return native
