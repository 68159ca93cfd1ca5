"""Which signs beyond ASCII the tokeniser takes for what, as contents of regular-expression classes."""

import json
from importlib.resources import files

_RANGES: dict[str, str] = json.loads(files(__package__).joinpath("signs.json").read_text(encoding="utf-8"))


def _sign_class(name: str) -> str:
    """The hexadecimal ranges "c0-d6 d8" as the contents of a class."""
    ranges = [part.split("-") for part in _RANGES[name].split()]
    return "".join("-".join(f"\\u{int(code, 16):04x}" for code in bounds) for bounds in ranges)


LETTERS = _sign_class("letters")
"""Signs that may stand in words and in numbers with letters."""

DIGITS = _sign_class("digits")
"""Digits of other scripts."""

MARKS = _sign_class("marks")
"""Signs that may stand in words, but not after a digit: combining accents and the like."""

SYMBOLS = _sign_class("symbols")
"""Signs that are tokens of their own; all others are dropped."""
