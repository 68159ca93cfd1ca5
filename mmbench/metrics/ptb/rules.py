"""The rules of the tokeniser, as pairs of a pattern and a rewriting; `lexer` takes the longest match at each place.

Group 1 of a pattern is the token; what the pattern matches after it is only looked at, but counts towards the length
that decides ("do" before "n't" beats the longer word "don"). The rules describe what CoreNLP 3.4.1's PTBTokenizer is
seen to do; they were found by running it on probes, not taken from its source. Quotation marks, dashes and single
marks of punctuation are dropped by the caption metrics whichever way they are written, so their rules simply drop them.
"""

import re
from collections.abc import Callable

from mmbench.metrics.ptb.words import (
    KEEPS_PERIOD,
    KEEPS_PERIOD_BEFORE_NUMBER,
    KEEPS_PERIOD_CAPITALISED,
    SENTENCE_STARTERS,
)

Rewrite = Callable[[str], str]

_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}


def _drop(text: str) -> str:
    return ""


def _keep(text: str) -> str:
    return text


def _straight(text: str) -> str:
    """Every way of writing an apostrophe as the plain one."""
    return re.sub("&apos;|&APOS;|[\u2019\u0092]", "'", text)


def _joined(text: str) -> str:
    """One token that holds spaces: they become no-break spaces; brackets get their names."""
    return "".join(_BRACKETS.get(mark, mark) for mark in text.replace(" ", "\u00a0"))


def _as(token: str) -> Rewrite:
    return lambda text: token


def _any_case(words: tuple[str, ...]) -> str:
    """Pattern for any of the words in any case, the longest first."""
    return "(?i:" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)) + ")"


_LETTER = r"[^\W\d_]"
_ALNUM = r"[^\W_]"
_APOSTROPHE = "(?:['\u2019\u0092]|&(?i:apos);)"
_WORD = rf"{_LETTER}{_ALNUM}*(?:[.!?]{_LETTER}{_ALNUM}*)*"
_COMPOUND = rf"{_ALNUM}+(?:[-_/]{_ALNUM}+)*"
_NUMBER = r"(?:\d*(?:[.,:\u00ad]\d+)+|\d+)"
_CLITIC = rf"{_APOSTROPHE}(?i:s|m|d|ll|re|ve)"
_PERIOD_WORD = _any_case(KEEPS_PERIOD)
_CAPITALISED = "(?:" + "|".join(f"{word.capitalize()}|{word.upper()}" for word in KEEPS_PERIOD_CAPITALISED) + ")"
_STARTER = "(?:" + "|".join(sorted(SENTENCE_STARTERS, key=len, reverse=True)) + ")"

_WORDS: list[tuple[str, Rewrite]] = [
    ("([\u00bc])", _as("1/4")),
    ("([\u00bd])", _as("1/2")),
    ("([\u00be])", _as("3/4")),
    (rf"({_WORD})", _keep),
    (rf"({_COMPOUND})", _keep),
    (rf"((?:{_WORD}|(?:[A-Za-z]\.)+|{_PERIOD_WORD}\.)(?:-{_ALNUM}+)+)", _keep),
    (r"((?:[A-Za-z]\.)+[A-Za-z]\.|(?i:ph)\.[dD]\.)", _keep),
    (rf"({_PERIOD_WORD}\.|{_CAPITALISED}\.)", _keep),
    (rf"({_any_case(KEEPS_PERIOD_BEFORE_NUMBER)}\.)[ \t]?\d", _keep),
    (r"([A-Za-z]\.)", _keep),
    (rf"([A-Za-z])\.\s+{_STARTER}\s", _keep),
    (r"([A-Z]+(?:&[A-Z]+)+)", _keep),
    (r"([cC]\+\+|[cCfF]#)", _keep),
]

_APOSTROPHES: list[tuple[str, Rewrite]] = [
    (rf"({_CLITIC})(?!{_LETTER})", _straight),
    (rf"([nN]{_APOSTROPHE}[tT])(?!{_LETTER})", _straight),
    (rf"({_LETTER}{_ALNUM}*?)[nN]{_APOSTROPHE}[tT](?!{_LETTER})", _keep),
    (rf"({_LETTER}{_ALNUM}*){_CLITIC}(?!{_LETTER})", _keep),
    (rf"([A-HJ-XZnNdDlLoO]{_APOSTROPHE}{_LETTER}{{2}}{_ALNUM}*)", _straight),
    (rf"({_LETTER}+[aeiouyA-Z]{_APOSTROPHE}[aeiouA-Z]{_LETTER}*)", _straight),
    (rf"([dDlLyY]{_APOSTROPHE}){_LETTER}", _straight),
    (
        rf"((?i:c{_APOSTROPHE}mon|ma{_APOSTROPHE}am|cap{_APOSTROPHE}n|s{_APOSTROPHE}mores|o{_APOSTROPHE}clock))(?!{_LETTER})",
        _straight,
    ),
    (rf"({_APOSTROPHE}[nN]{_APOSTROPHE}?)(?!{_LETTER})", _straight),
    (rf"({_APOSTROPHE}(?i:em|til|cause))(?!{_LETTER})", _straight),
    (rf"({_APOSTROPHE}\d\ds?)(?!{_ALNUM})", _straight),
    (rf"({_APOSTROPHE}[tT])(?i:is|was)(?!{_LETTER})", _straight),
    *[
        (rf"((?i:{first}))(?i:{second})(?!{_ALNUM})", _keep)
        for first, second in [("can", "not"), ("gon", "na"), ("got", "ta"), ("lem", "me"), ("gim", "me"), ("wan", "na")]
    ],
]

_NUMBERS: list[tuple[str, Rewrite]] = [
    (rf"([+-]?{_NUMBER})", _keep),
    (r"(\d+ \d+/\d+)", _joined),
    (r"(\(\d{3}\)[ -]?\d{3}[- ]\d{4,5})", _joined),
    (r"((?:\d{2,4}[- ])?\d{2,4}[- ]\d{3,5})(?!\d)", _joined),
]

_SYMBOLS: list[tuple[str, Rewrite]] = [
    (r"([!?]{2,})", _keep),
    ("([!?.,:;]|\\.{3}|\u2026)", _drop),
    ("(-{1,4}|[\u2013\u2014])", _drop),
    (r"(-{5,}|_+|\*+)", _keep),
    ("([#$%&+=@^~|\\\\/<>\u00a9\u00ae\u2122\u00a5])", _keep),
    (r"([()\[\]{}])", _joined),
    (f'({_APOSTROPHE}+|["`\u2018\u201c\u201d\u00ab\u00bb])', _drop),
    ("(&(?i:quot|nbsp|[mn]dash);)", _drop),
    ("(&(?i:amp);)", _as("&")),
    ("(&(?i:lt);)", _as("<")),
    ("(&(?i:gt);)", _as(">")),
    ("(\u00a3)", _as("#")),
    ("(\u20ac)", _as("$")),
    ("(\u00a2)", _as("cents")),
    (r"([A-Z]+\$)", _keep),
    (r"([:;=]-?[()DPp])", _joined),
]

_NETWORK: list[tuple[str, Rewrite]] = [
    (rf"([#@]{_LETTER}\w*)", _keep),
    (r"(</?[A-Za-z!][^<>\n]*>)", _joined),
    (r"(https?://[^\s\"<>|()]+[^\s\"<>|.!?(){},-])", _keep),
    (r"(www\.[^\s\"<>|()]+\.[a-zA-Z]{2,4})", _keep),
    (r"([A-Za-z0-9][\w.+-]*@[\w-]+(?:\.[\w-]+)*)", _keep),
]

RULES: list[tuple[re.Pattern[str], Rewrite]] = [
    (re.compile(pattern), rewrite) for pattern, rewrite in _APOSTROPHES + _WORDS + _NUMBERS + _SYMBOLS + _NETWORK
]
"""Patterns in order of preference where two match the same length."""
