"""One line of text into tokens, by the longest rule at each place."""

import re

from mmbench.metrics.ptb.rules import RULES, SPLIT_WORDS
from mmbench.metrics.ptb.signs import shape
from mmbench.metrics.ptb.words import (
    KEEPS_PERIOD_ANYWHERE,
    KEEPS_PERIOD_BEFORE_NUMBER,
    KEEPS_PERIOD_CAPITALISED,
    KEEPS_PERIOD_INSIDE_SENTENCE,
)


def lex(text: str, following: str = "\n") -> list[str]:
    """Lower-case tokens of one line, without the punctuation that caption metrics drop.

    Args:
        text: one line (no line breaks).
        following: what comes after it, since a few rules look across the line's end; empty at the end of a file.
    """
    if _is_plain(text):
        return [text.rstrip(".,").lower()]
    source = text + following
    shaped = shape(source)
    tokens: list[str] = []
    position = 0
    while position < len(text):
        longest, end, token = 0, position + 1, ""
        for pattern, rewrite in RULES:
            match = pattern.match(shaped, position)
            if match and match.end() - position > longest:
                longest, end = match.end() - position, match.end(1)
                token = rewrite(source[position:end])
        if token:
            tokens.append(token.lower())
        position = end
    return tokens


_PLAIN = re.compile(r"([A-Za-z]{2,}(?:-[A-Za-z]+)*)[.,]?")
_NOT_PLAIN = frozenset(
    [
        *("".join(parts) for parts in SPLIT_WORDS),
        *KEEPS_PERIOD_ANYWHERE,
        *KEEPS_PERIOD_BEFORE_NUMBER,
        *KEEPS_PERIOD_CAPITALISED,
        *KEEPS_PERIOD_INSIDE_SENTENCE,
    ]
)


def _is_plain(text: str) -> bool:
    """Whether the text is a word that no rule takes apart, perhaps with a mark that is dropped: a shortcut for most."""
    match = _PLAIN.fullmatch(text)
    return match is not None and match[1].lower() not in _NOT_PLAIN
