"""The rules of the tokeniser, as pairs of a pattern and a rewriting; `lexer` takes the longest match at each place.

Group 1 of a pattern is the token; what the pattern matches after it is only looked at, but counts towards the length
that decides ("do" before "n't" beats the longer word "don"). The rules describe what CoreNLP 3.4.1's PTBTokenizer is
seen to do when it is run on probes; each was found or confirmed so, and the lists and numbers are what the probes gave
(all pairs of signs for faces, all lengths of groups for telephone numbers). Quotation marks, dashes and single marks of
punctuation are dropped by the caption metrics whichever way they are written, so their rules simply drop them.
"""

import re
from collections.abc import Callable

from mmbench.metrics.ptb.signs import LETTER, MARK, SYMBOL
from mmbench.metrics.ptb.words import (
    FILE_ENDINGS,
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

_PLAIN_QUOTES = str.maketrans(
    {"\u2018": "`", "\u201b": "`", "\u2019": "'", "\u0092": "'", "\u201c": "``", "\u201d": "''"}
)


def _drop(text: str) -> str:
    return ""


def _keep(text: str) -> str:
    return text


def _straight(text: str) -> str:
    """Closing and foreign apostrophes as the plain one, opening ones as a backtick."""
    return re.sub("[\u2018\u201b]", "`", re.sub("&apos;|[\u2019\u0092]", "'", text.lower()))


def _quotes(text: str) -> str:
    """Two quotation marks in a row, written in plain ones; a token unless they make one plain mark."""
    plain = text.translate(_PLAIN_QUOTES)
    return "" if plain in ("''", "``") else plain


def _plain_ampersand(text: str) -> str:
    return re.sub("(?i:&amp;)", "&", text)


def _unspaced(text: str) -> str:
    """One token that holds spaces: they become no-break spaces."""
    return text.replace(" ", "\u00a0")


def _bracket(text: str) -> str:
    return _BRACKETS[text]


def _face(text: str) -> str:
    """Only round brackets get their names in a face."""
    return text.replace("(", _BRACKETS["("]).replace(")", _BRACKETS[")"])


def _phone(text: str) -> str:
    return _unspaced(_face(text))


def _as(token: str) -> Rewrite:
    return lambda text: token


def _any_case(words: tuple[str, ...]) -> str:
    """Pattern for any of the words in any case, the longest first."""
    return "(?i:" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)) + ")"


def _digits(lengths: str, between: str = "") -> str:
    """Pattern for groups of digits, from how many each may have: "2-4 6-9"."""
    return between.join(f"[0-9]{{{length.replace('-', ',')}}}" for length in lengths.split())


def _any_of(signs: str) -> str:
    return f"[{re.escape(signs)}]"


def _no(signs: str) -> str:
    """Pattern for one sign that is none of these and no ordinary space."""
    return f"[^ \\t\\n{re.escape(signs)}]"


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
_PART = rf"(?:[dDlLoO]{_ANY_APOSTROPHE}(?={_ALNUM}{{2}}))?{_ALNUM}+"
_HYPHENATED = rf"{_PART}(?:(?:{_HYPHEN}|_){_PART})*"
_INITIALS = "(?:[A-Za-z]\\.){2,}"
# Periods and commas may stand before the first hyphen where all is ASCII, and initials after it.
_DOTTED = rf"[0-9A-Za-z][0-9A-Za-z.,]*(?:-(?:{_INITIALS}|[0-9A-Za-z]+))+"
# Names of files are known by their ending.
_FILE = rf"{_ALNUM}+(?:\.{_ALNUM}+)*\.{_any_case(FILE_ENDINGS)}"
_SLASH = r"\\?/"
# Two or three parts in ASCII; letters may follow each part after a hyphen, twice at most.
_SLASH_PART = "[0-9A-Za-z]+(?:-[A-Za-z]+){0,2}"
_SLASHED = rf"{_SLASH_PART}(?:{_SLASH}{_SLASH_PART}){{1,2}}"
# AT&T
_JOINED_CAPITALS = r"[A-Z]+(?:(?:&|&(?i:amp);|\+)[A-Z]+)+"
_STARTER = "(?:" + "|".join(f"{word}|{word.upper()}" for word in SENTENCE_STARTERS) + ")"

_WORDS: list[tuple[str, Rewrite]] = [
    (rf"({_WORD})", _keep),
    # An abbreviation that may end a sentence looks at two more signs, so that "etc.k" is two tokens and "dr.k" one.
    (rf"((?:{_ABBREVIATION}|(?i:ph)\.[dD])\.)[\s\S]{{0,2}}", _keep),
    (rf"({_TITLE}\.)", _keep),
    (rf"({_any_case(KEEPS_PERIOD_BEFORE_NUMBER)}\.)\s?\d", _keep),
    # Any word keeps its period before these marks.
    (rf"((?:{_WORD}|{_HYPHENATED}|{_DOTTED}|{_JOINED_CAPITALS})\.)[,;:]", _plain_ampersand),
    (rf"({_SLASHED})", _keep),
    (rf"({_HYPHENATED})", _keep),
    (rf"({_DOTTED})", _keep),
    (f"({_INITIALS})", _keep),
    (rf"({_FILE})(?=[\s.,!?])", _keep),
    (r"([A-Za-z]\.)", _keep),
    (rf"([A-Za-z])\.\s+{_STARTER}\s", _keep),
    (f"({_JOINED_CAPITALS})", _plain_ampersand),
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
    (rf"([DdLlOo]{_ANY_APOSTROPHE}{_ALNUM}{{2,}}|[oO]{_ANY_APOSTROPHE}[oO])", _keep),
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

# A telephone number is an area and what is called there, perhaps behind the code of a country. These are the numbers of
# digits for which groups become one token.
_SPACE = "[ \u00a0]"
_PHONE_GAP = "[ \u00a0-]"
_PHONE_ENDS = ("6-9", "3-4 3-5")
_PHONE_STARTS = (rf"\({_digits('2-3')}\){_SPACE}?", rf"\+?(?:{_digits('2-4')}{_PHONE_GAP}){{1,2}}")
_PHONE = f"(?:{'|'.join(_PHONE_STARTS)})(?:{'|'.join(_digits(end, _PHONE_GAP) for end in _PHONE_ENDS)})"

_NUMBERS: list[tuple[str, Rewrite]] = [
    (rf"([+-]?{_NUMBER})", _keep),
    (rf"({_digits('1-4 1-4', _PHONE_GAP)}{_SLASH}{_digits('1-4')})", _unspaced),  # 5 1/2
    (rf"({_digits('1-2 1-2', '[/-]')}[/-]{_digits('2-4')})", _keep),  # a date
    (f"({_PHONE})", _phone),
]

# Faces that lie on their side: :-)
_BROWS, _EYES, _NOSES, _MOUTHS = "<>", ":;=", "-o*'", "dDpPO()@[]{|\\"
# Faces that stand upright, alone or between brackets: ^_^
_UPRIGHT_EYES, _UPRIGHT_MOUTHS = "^x=~<>'-", "-_."

_SYMBOLS: list[tuple[str, Rewrite]] = [
    (r"([!?]{2,})", _keep),
    ("(\\.{3}|[!?.,:;]|\u2026)", _drop),
    ("(-{1,4}|[\u2013\u2014])", _drop),
    (r"(-{5,}|_+|\*+|#+|@+|<<|>>|\\\*)", _keep),
    (rf"([$%&+=^~|\\/<>{SYMBOL}])", _keep),
    (r"([()\[\]{}])", _bracket),
    (f"""(''|{_APOSTROPHE}|["`\u2018\u201c\u201d\u00ab\u00bb])""", _drop),
    ("([`\u2018\u2019\u201b\u0092\u201c\u201d]{2})", _quotes),
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
    (rf"({_any_of(_BROWS)}?{_any_of(_EYES)}{_any_of(_NOSES)}?{_any_of(_MOUTHS)})(?=[^0-9A-Za-z])", _face),
    (f"({_any_of(_UPRIGHT_EYES)}_{_any_of(_UPRIGHT_EYES)})", _keep),
    (rf"(\({_any_of(_UPRIGHT_EYES)}{_any_of(_UPRIGHT_MOUTHS)}?{_any_of(_UPRIGHT_EYES)}\))", _face),
]

# Signs that end an address wherever they stand, and those that it only cannot end in.
_NEVER_IN_LINK = '"<>|()'
_NOT_LAST_IN_LINK = "!?.,-{}"
_LINK_END = _no(_NEVER_IN_LINK + _NOT_LAST_IN_LINK)
_PATH = f"(?:/{_no(_NEVER_IN_LINK)}+{_LINK_END})?"
_WWW_LABEL = _no(_NEVER_IN_LINK + "!?.,{}") + "+"
# A site without "www." is known by its ending, and may hold neither digits nor capitals.
_SITE_LABEL = _no("!\"$'(),-./:;<=>?@[\\]^_`{|}\u00a00123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") + "+"
_SITE_ENDINGS = "com|edu|net|org"
_MAIL_LABEL = _no('"<>|(){}\u00a0.') + "+"
_MAIL_SIGN = _no('"<>|(){}\u00a0')

# A tag: its name, and attributes that may have a value in quotes.
_TAG_NAME = "[A-Za-z][0-9A-Za-z.:_-]*"
_ATTRIBUTE = f" +{_TAG_NAME}(?: *= *(?:'[^'\n]*'|\"[^\"\n]*\"))?"

_NETWORK: list[tuple[str, Rewrite]] = [
    (rf"(#{_LETTER}+|@[A-Za-z_][0-9A-Za-z_]*)", _keep),
    (f"(<{_TAG_NAME}(?:{_ATTRIBUTE})* */?>|</{_TAG_NAME} *>)", _unspaced),
    (r"(<[!?][A-Za-z-][^>\n]*>)", _unspaced),
    (f"((?i:https?)://{_no(_NEVER_IN_LINK + '{}')}+{_LINK_END})", _keep),
    (rf"((?i:www)\.(?:{_WWW_LABEL}\.)+[A-Za-z]{{2,4}}{_PATH})", _keep),
    (rf"((?:{_SITE_LABEL}\.)+(?:{_SITE_ENDINGS}){_PATH})", _keep),
    (rf"(<?[0-9A-Za-z]{_MAIL_SIGN}*@(?:{_MAIL_LABEL}\.)*{_MAIL_LABEL}>?)", _keep),
]

RULES: list[tuple[re.Pattern[str], Rewrite]] = [
    (re.compile(pattern), rewrite) for pattern, rewrite in _SYMBOLS + _APOSTROPHES + _WORDS + _NUMBERS + _NETWORK
]
"""Patterns in order of preference where two match the same length."""
