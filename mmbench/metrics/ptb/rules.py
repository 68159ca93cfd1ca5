"""The rules of the tokeniser, as pairs of a pattern and a rewriting; `lexer` takes the longest match at each place.

Group 1 of a pattern is the token; what the pattern matches after it is only looked at, but counts towards the length
that decides ("do" before "n't" beats the longer word "don"). The rules describe what CoreNLP 3.4.1's PTBTokenizer is
seen to do when it is run on probes; each was confirmed so. Quotation marks, dashes and single
marks of punctuation are dropped by the caption metrics whichever way they are written, so their rules simply drop them.
"""

import re
from collections.abc import Callable

from mmbench.metrics.ptb.signs import LETTER, MARK, SYMBOL
from mmbench.metrics.ptb.words import (
    KEEPS_PERIOD_ANYWHERE,
    KEEPS_PERIOD_BEFORE_NUMBER,
    KEEPS_PERIOD_CAPITALISED,
    KEEPS_PERIOD_INSIDE_SENTENCE,
    SENTENCE_STARTERS,
)

Rewrite = Callable[[str], str]

SPLIT_WORDS = (("can", "not"), ("gon", "na"), ("got", "ta"), ("lem", "me"), ("gim", "me"), ("wan", "na"))
"""Words that are two tokens."""

_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}


def _drop(text: str) -> str:
    return ""


def _keep(text: str) -> str:
    return text


def _straight(text: str) -> str:
    """Closing and foreign apostrophes as the plain one, opening ones as a backtick."""
    return re.sub("[\u2018\u201b]", "`", re.sub("&apos;|[\u2019\u0092]", "'", text.lower()))


def _joined(text: str) -> str:
    """One token that holds spaces: they become no-break spaces; brackets get their names."""
    return "".join(_BRACKETS.get(mark, mark) for mark in text.replace(" ", "\u00a0"))


def _face(text: str) -> str:
    """Only round brackets get their names in a face."""
    return text.replace("(", _BRACKETS["("]).replace(")", _BRACKETS[")"])


def _as(token: str) -> Rewrite:
    return lambda text: token


def _any_case(words: tuple[str, ...]) -> str:
    """Pattern for any of the words in any case, the longest first."""
    return "(?i:" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)) + ")"


_LETTER = f"[A-Za-z{LETTER}{MARK}]"
_ALNUM = f"[0-9A-Za-z{LETTER}]"
_IN_WORD = f"[0-9A-Za-z{LETTER}{MARK}]"
_HYPHEN = "[-\u058a\u2010\u2011]"
_APOSTROPHE = "(?:['\u2019\u0092]|&(?i:apos);)"
_ANY_APOSTROPHE = "(?:['`\u2018\u2019\u201b\u0092]|&(?i:apos);)"
_WORD = rf"{_LETTER}{_IN_WORD}*(?:[.!?]{_LETTER}{_IN_WORD}*)*"
_NUMBER = "(?:[0-9]*(?:[.,:\u066b\u066c][0-9]+)+|[0-9]+)"
_CURLED = "(?:[\u2019\u0092]|&(?i:apos);)"
_CLITIC = rf"{_APOSTROPHE}(?i:s|m|d|ll|re|ve)"
_CAPITALISED = "(?:" + "|".join(f"{word.capitalize()}|{word.upper()}" for word in KEEPS_PERIOD_CAPITALISED) + ")"
_TITLE = _any_case(KEEPS_PERIOD_INSIDE_SENTENCE)
_ABBREVIATION = f"(?:{_any_case(KEEPS_PERIOD_ANYWHERE)}|{_CAPITALISED})"
# A part of a hyphenated word may start with an article or a name's particle (hors-d'oeuvre, O'Neil-like).
_PART = rf"(?:[dDlLoO]{_ANY_APOSTROPHE}(?={_LETTER}{{2}}))?{_ALNUM}+"
_HYPHENATED = rf"{_PART}(?:(?:{_HYPHEN}|_){_PART})*"
# Periods and commas may stand before the first hyphen.
_DOTTED = rf"{_ALNUM}(?:{_ALNUM}|[.,])*(?:{_HYPHEN}{_PART})+"
# After a slash anything, but after a hyphen only letters, or the slash would start a new token.
_SLASHED = rf"{_ALNUM}+(?:-{_LETTER}+)*(?:\\?/{_ALNUM}+(?:-{_LETTER}+)*)*"
_NETWORK_SIGN = r"[^\s\"<>|(){}]"
_DOMAIN_PART = r"[^\s\"<>|(){}.]+"
_STARTER = "(?:" + "|".join(f"{word}|{word.upper()}" for word in SENTENCE_STARTERS) + ")"

_WORDS: list[tuple[str, Rewrite]] = [
    (rf"({_WORD})", _keep),
    # An abbreviation that may end a sentence looks at two more signs, so that "etc.k" is two tokens and "dr.k" one.
    (rf"({_ABBREVIATION}\.)[\s\S]{{0,2}}", _keep),
    (rf"({_TITLE}\.)", _keep),
    (rf"({_any_case(KEEPS_PERIOD_BEFORE_NUMBER)}\.)\s?\d", _keep),
    # Any word keeps its period before these marks.
    (rf"((?:{_WORD}|{_HYPHENATED}|{_DOTTED})\.)[,;:]", _keep),
    (rf"({_SLASHED})", _keep),
    (rf"({_HYPHENATED})", _keep),
    (rf"({_DOTTED})", _keep),
    (r"((?:[A-Za-z]\.)+[A-Za-z]\.|(?i:ph)\.[dD]\.)", _keep),
    (r"([A-Za-z]\.)", _keep),
    (rf"([A-Za-z])\.\s+{_STARTER}\s", _keep),
    (r"([A-Z]+(?:[&+][A-Z]+)+)", _keep),
    (r"([cC]\+\+|[cCfF]#)", _keep),
]

_APOSTROPHES: list[tuple[str, Rewrite]] = [
    # A straight apostrophe before a letter may as well open a quotation; the others may not.
    (r"('(?i:s|m|d|ll|re|ve))(?![A-Za-z])", _keep),
    (rf"({_CURLED}(?i:s|m|d|ll|re|ve))", _straight),
    (rf"({_LETTER}{_IN_WORD}*){_CLITIC}", _keep),
    (rf"([nN]{_ANY_APOSTROPHE}[tT])(?![A-Za-z])", _straight),
    (rf"({_LETTER}*[A-MO-Za-mo-z])[nN]{_ANY_APOSTROPHE}[tT]", _keep),
    # Names and words with an apostrophe inside: O'Neil, d'oeuvre, Ho'ohu.
    (rf"([A-HJ-XZn]{_ANY_APOSTROPHE}{_LETTER}{{2,}})", _keep),
    (rf"([DdLlNOo]{_ANY_APOSTROPHE}{_LETTER}{{2}}{_ALNUM}*)", _keep),
    (rf"({_LETTER}+[aeiouyAEIOUY]{_ANY_APOSTROPHE}[aeiouA-Z]{_LETTER}*)", _keep),
    (rf"([dDjJlL]{_APOSTROPHE})", _keep),
    (rf"([yY]{_APOSTROPHE}){_LETTER}", _keep),
    (r"((?i:c'mon|s'mores|nor'easter|nat'l|li'l))", _keep),
    (rf"((?i:c{_APOSTROPHE}est|e'er|cap{_APOSTROPHE}n|(?:ol|somethin){_APOSTROPHE}))", _keep),
    # Words that lost their beginning: 'n' for "and", 'em for "them".
    (r"('[nN])(?:\s|\Z)", _keep),
    (rf"({_CURLED}[nN])", _keep),
    (rf"({_APOSTROPHE}[nN]{_APOSTROPHE})", _keep),
    (rf"({_APOSTROPHE}(?i:em|til|cause))", _keep),
    (rf"({_APOSTROPHE}[2-9]0s)", _keep),
    (rf"({_APOSTROPHE}\d\d)\s", _keep),
    (r"('[tT])(?i:is|was)", _keep),
    *[(rf"((?i:{first}))(?i:{second})", _keep) for first, second in SPLIT_WORDS],
]

_NUMBERS: list[tuple[str, Rewrite]] = [
    (rf"([+-]?{_NUMBER})", _keep),
    (r"(\d+[ \u00a0-]\d+\\?/\d+)", _joined),
    # Telephone numbers; any groups of digits of such lengths are taken for one.
    (r"((?:\(\d{2,3}\) ?|\+?(?:\d{2,4}[- ])?\d{2,4}[- ])\d{3,4}[- ]?\d{3,5})", _joined),
]

_SYMBOLS: list[tuple[str, Rewrite]] = [
    (r"([!?]{2,})", _keep),
    ("(\\.{3}|[!?.,:;]|\u2026)", _drop),
    ("(-{1,4}|[\u2013\u2014])", _drop),
    (r"(-{5,}|_+|\*+|#+|@+|<<|>>|\\\*)", _keep),
    (rf"([$%&+=^~|\\/<>{SYMBOL}])", _keep),
    (r"([()\[\]{}])", _joined),
    (f'({_APOSTROPHE}{{1,2}}|["`\u2018\u201c\u201d\u00ab\u00bb])', _drop),
    ("(&(?i:quot|nbsp|[mn]dash);)", _drop),
    (r"(&\#\d+;)", _keep),
    ("(&(?i:amp);)", _as("&")),
    ("(&(?i:lt);)", _as("<")),
    ("(&(?i:gt);)", _as(">")),
    ("(\u00a3)", _as("#")),
    ("([\u0080\u00a4\u20a0\u20ac])", _as("$")),
    ("(\u00a2)", _as("cents")),
    ("(\u2153)", _as("1/3")),
    ("(\u2154)", _as("2/3")),
    ("(\u00bc)", _as("1/4")),
    ("(\u00bd)", _as("1/2")),
    ("(\u00be)", _as("3/4")),
    (r"([A-Z]+\$)", _keep),
    # Faces: :-) =D >:( ^_^
    (r"([<>]?[:;=][-o*']?[dDpPO()@\[\]\\{|])(?=[\W_])", _face),
    (r"([\^x=~<>'-]_[\^x=~<>'-])", _keep),
]

_NETWORK: list[tuple[str, Rewrite]] = [
    (rf"(#{_LETTER}+|@[A-Za-z_]\w*)", _keep),
    (r"(</?[A-Za-z!][^<>\n]*>)", _joined),
    (r"(https?://[^\s\"<>|()]+[^\s\"<>|.!?(){},-])", _keep),
    (r"(www\.[^\s\"<>|()]+\.[a-zA-Z]{2,4})", _keep),
    (rf"(<?[A-Za-z0-9]{_NETWORK_SIGN}*@(?:{_DOMAIN_PART}\.)*{_DOMAIN_PART}>?)", _keep),
]

RULES: list[tuple[re.Pattern[str], Rewrite]] = [
    (re.compile(pattern), rewrite) for pattern, rewrite in _SYMBOLS + _APOSTROPHES + _WORDS + _NUMBERS + _NETWORK
]
"""Patterns in order of preference where two match the same length."""
