"""Text from data sets and users, made harmless: what is unseen is written out, and no format reads it as markup."""

import re
import unicodedata
from pathlib import Path
from typing import Any

import pandas as pd

from mmbench.report import numbers

_FORMULA = re.compile(r"^[=+\-@\t\r]")
"""How a spreadsheet knows a formula."""
_TURNS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}
"""Marks that turn the direction of what follows, and could make a line read as something else than it holds."""


def visible(words: str) -> str:
    """``words`` with control characters, marks of direction and halves of surrogate pairs written as ``\\u202e``.

    Line breaks and tabs stay. The result can be encoded, and is drawn in the order in which it is stored.
    """
    return "".join(f"\\u{ord(char):04x}" if _unseen(char) else char for char in words)


def _unseen(char: str) -> bool:
    if char in "\n\t":
        return False
    return unicodedata.category(char) in ("Cc", "Cs") or ord(char) in _TURNS or char in "\ufffe\uffff"


def all_visible(value: Any) -> Any:
    """The same for all strings of nested lists and dictionaries."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {all_visible(key): all_visible(each) for key, each in value.items()}
    return [all_visible(each) for each in value] if isinstance(value, list | tuple) else value


def encodable(value: Any) -> Any:
    """The same with halves of surrogate pairs alone, which JSON allows and no table can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {encodable(key): encodable(each) for key, each in value.items()}
    return [encodable(each) for each in value] if isinstance(value, list) else value


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


def escape_markdown(words: str) -> str:
    """Characters that Markdown or HTML would read as markup or as an address, written so that they are shown."""
    one_line = " ".join(visible(words).split())
    escaped = re.sub(r"([\\`*_{}\[\]#|~$])", r"\\\1", one_line)
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if _ADDRESS.search(escaped):
        escaped = escaped.replace("://", "\\://").replace("www.", "www\\.").replace("@", "&#64;")
    return escaped


def escape_latex(words: str) -> str:
    """Characters that LaTeX would read as commands, written so that they are shown."""
    return "".join(_LATEX.get(character, character) for character in " ".join(visible(words).split()))


_ADDRESS = re.compile(r"://|www\.|\w@\w")
_LATEX = {
    **{character: "\\" + character for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{
        numbers.MINUS: r"$-$",
        numbers.DASH: "--",
        numbers.TIMES: r"$\times$",
        "→": r"$\rightarrow$",
        "…": r"\ldots{}",
        "≤": r"$\le$",
    },
    **{
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "▲": r"$\blacktriangle$",
        "†": r"\dag{}",
        "ᵇ": r"\textsuperscript{b}",
    },
    **{"[": "{[}", "]": "{]}"},
    **{raised: rf"\textsuperscript{{{plain}}}" for raised, plain in zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789", strict=True)},
}
