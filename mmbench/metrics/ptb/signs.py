"""What the tokeniser takes each sign beyond ASCII for: the rules see one letter for all letters, and so on."""

import json
from functools import cache
from importlib.resources import files

LETTER = "\u00e0"
"""Stands for every sign that may be in words, and in numbers with letters."""

MARK = "\u0300"
"""Stands for every sign that may be in words, but not after a digit: combining accents and the like."""

SYMBOL = "\u00a9"
"""Stands for every sign that is a token of its own."""

_DIGIT = "0"


def shape(text: str) -> str:
    """The text, as long as before, with one sign for all of a kind; signs that are dropped or have their rule stay."""
    return text if text.isascii() else text.translate(_kinds())


@cache
def _kinds() -> dict[int, str]:
    ranges: dict[str, str] = json.loads(files(__package__).joinpath("signs.json").read_text(encoding="utf-8"))
    kinds: dict[int, str] = {}
    for name, kind in (("letters", LETTER), ("digits", _DIGIT), ("marks", MARK), ("symbols", SYMBOL)):
        for part in ranges[name].split():
            first, _, last = part.partition("-")
            kinds.update(dict.fromkeys(range(int(first, 16), int(last or first, 16) + 1), kind))
    return kinds
