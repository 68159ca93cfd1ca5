"""Normalising short answers as the official VQA evaluation does, with its mistakes: every published number has them."""

import re

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_MAX_PERIODS = 32  # the official call passes a flag (whose value is 32) where the count belongs

_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    )
} | {"none": "0"}
_ARTICLES = frozenset(["a", "an", "the"])

# Contractions that are recognised without their apostrophe.
_PLAIN = """
    ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's
    isn't it'd it'll ma'am might've mightn't must've mustn't needn't not've o'clock oughtn't shan't should've
    shouldn't somebody'll somebody's someone'd someone'll someone's something'd something'll that's there'd there're
    there's they'd they'll they're they've 'twas wasn't we've weren't what'll what're what's what've when's where'd
    where's where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all you'd you'll you're
    you've
"""
# Double contractions, recognised when either of the two apostrophes is missing.
_DOUBLE = """
    couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've somebody'd've someone'd've something'd've
    there'd've they'd've we'd've who'd've wouldn't've y'all'll you'd've
"""
_TRIPLE = "y'all'd've"
# The official table has this one the wrong way round.
_IRREGULAR = {"somebody'd": "somebodyd", "ow's'at": "'ow's'at", "'ows'at": "'ow's'at", "'ow'sat": "'ow's'at"}


def _without(word: str, which: int) -> str:
    """The word without its apostrophe number `which`."""
    parts = word.split("'")
    return "'".join([*parts[:which], parts[which] + parts[which + 1], *parts[which + 2 :]])


_CONTRACTIONS = (
    {word.replace("'", ""): word for word in _PLAIN.split()}
    | {_without(word, which): word for word in _DOUBLE.split() for which in (0, 1)}
    | {_without(_TRIPLE, which): _TRIPLE for which in (0, 1, 2)}
    | _IRREGULAR
)


def normalize_answer(answer: str) -> str:
    """The answer without punctuation, articles and number words, in lower case, contractions with their apostrophe.

    White space at both ends and line breaks are expected to be gone already (`strip_answer`).
    """
    return _normalize_words(_remove_punctuation(answer))


def strip_answer(answer: str) -> str:
    """The answer as it is compared where all people agree: line breaks and tabs as spaces, stripped."""
    return answer.replace("\n", " ").replace("\t", " ").strip()


def _remove_punctuation(answer: str) -> str:
    """Each mark goes, or becomes a space where it stands between words.

    It goes everywhere if it stands beside a space anywhere, and all marks go if a comma stands between digits anywhere.
    A period goes unless a digit follows.
    """
    text = answer
    has_number = _DIGIT_COMMA_DIGIT.search(answer) is not None
    for mark in _MARKS:
        if mark in answer:
            beside_space = mark + " " in answer or " " + mark in answer
            text = text.replace(mark, "" if has_number or beside_space else " ")
    return _PERIOD.sub("", text, count=_MAX_PERIODS) if "." in text else text


def _normalize_words(text: str) -> str:
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)
