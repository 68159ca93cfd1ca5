"""CSV files that no spreadsheet reads a formula from, and that hold nothing unseen."""

import re
import unicodedata
from pathlib import Path

import pandas as pd

_FORMULA = re.compile(r"^[=+\-@\t\r]")
"""How a spreadsheet knows a formula."""
_TURNS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}
"""Marks that turn the direction of what follows, and could make a line read as something else than it holds."""


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table in which no text is a formula to a spreadsheet: one that begins like it gets ``'`` in front."""
    safe = frame.copy()
    safe.columns = pd.Index([escape_csv(str(column)) for column in safe.columns])
    for column in safe.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in safe.dtypes]]:
        safe[column] = [escape_csv(value) if isinstance(value, str) else value for value in safe[column]]
    safe.to_csv(path, index=False)


def escape_csv(words: str) -> str:
    """A cell of text that stays one; a number keeps its sign."""
    words = visible(words)
    if not _FORMULA.match(words) or _is_number(words):
        return words
    return f"'{words}"


def _is_number(words: str) -> bool:
    try:
        float(words)
    except ValueError:
        return False
    return True


def visible(words: str) -> str:
    """``words`` with control characters, marks of direction and halves of surrogate pairs written as ``\\u202e``.

    Line breaks and tabs stay. The result can be encoded, and is drawn in the order in which it is stored.
    """
    return "".join(f"\\u{ord(char):04x}" if _unseen(char) else char for char in words)


def _unseen(char: str) -> bool:
    if char in "\n\t":
        return False
    return unicodedata.category(char) in ("Cc", "Cs") or ord(char) in _TURNS or char in "\ufffe\uffff"
