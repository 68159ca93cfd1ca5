"""Reading arrays of numbers from `.npy` files, plain or `.gz`."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmbench.config.errors import UserError
from mmbench.scoring.files import is_compressed, read_bytes


def read_array(path: Path) -> NDArray[Any]:
    """The array of a `.npy` file; mapped from the disk where it is not compressed.

    Raises:
        UserError: it cannot be read, is no such file, or holds no real numbers.
    """
    compressed = is_compressed(path)
    try:
        # "c" copies what is written to, so that torch does not complain of memory that it may not write to.
        array = np.load(io.BytesIO(read_bytes(path))) if compressed else np.load(path, mmap_mode="c")
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"'{path}' cannot be read as the array of a .npy file: {error}") from None
    if not isinstance(array, np.ndarray):
        raise UserError(f"'{path}' is an archive of arrays; a .npy file holds one (numpy.save makes it)")
    if array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
        raise UserError(f"'{path}' holds values of type {array.dtype}; real numbers of at most 64 bits are needed")
    native: NDArray[Any] = array.astype(array.dtype.newbyteorder("="), copy=False)
    return native
