"""Questions made up so that each rule of the official VQA evaluation decides the score of some; all from one seed."""

import random
import string
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

from mmbench.metrics.answers.normalization import _CONTRACTIONS, _NUMBERS

NUM_PEOPLE = 10
SPACES = ["\t", "\n", "\r", "\v", "\f", "\x1c", "\x1f", "\x85", "\xa0", "\u2003", "\u2028", "\u3000", "\u200b"]
LETTERS_AND_DIGITS = ["İ", "ß", "ΣΑΣ", "É", "ﬁ", "日本", "\u0663", "\uff12", "²", "\U0001f600"]
FOREIGN_MARKS = "\u2019\u2018\u201c\u201d\u2013\u2014\u2026\u00bf\u00a1\uff0c\u3002"


@dataclass(frozen=True)
class Row:
    """One question with its human answers and a prediction."""

    prediction: str
    answers: tuple[str, ...]
    answer_type: str
    question_type: str

    def annotation(self) -> dict[str, Any]:
        """The question as the official annotations have it."""
        people = [{"answer": answer, "answer_id": person} for person, answer in enumerate(self.answers, start=1)]
        return {"answers": people, "answer_type": self.answer_type, "question_type": self.question_type}


def make_rows(seed: int = 0, texts: Iterable[str] = ()) -> list[Row]:
    """Three rows for each text that a rule is about, and for each of the texts given besides; then the contractions."""
    rng = random.Random(seed)
    rows = [
        _row(_variants(text), rng, all_agree=rng.random() < 0.1) for text in [*_texts(rng), *texts] for _ in range(3)
    ]
    contractions = {*_CONTRACTIONS, *_CONTRACTIONS.values(), "i'd've", "i'm", "i've", "let's", "she's"}
    pairs = [(word, other) for word in sorted(contractions) for other in _without_apostrophes(word)]
    return rows + [_row([*pair], rng) for pair in pairs]


def edited(answer: str, rng: random.Random) -> str:
    """An answer with noise of the kind that the rules undo, or do not."""
    edits = [
        str.title,
        str.upper,
        lambda text: f"{rng.choice(['a', 'the', 'The', 'an'])} {text}",
        lambda text: text + rng.choice(string.punctuation),
        lambda text: text.replace(" ", rng.choice(["-", "/", ", ", "  ", "\t"])),
        lambda text: text.replace("'", ""),
        lambda text: " ".join(_WORD_OF_NUMBER.get(word, word) for word in text.split(" ")),
        lambda text: f"{text} {rng.choice(['1,000', '2.', '.5', 'dont', 'two'])}",
    ]
    for _ in range(rng.randint(0, 3)):
        answer = rng.choice(edits)(answer)
    return answer


_WORD_OF_NUMBER = {number: word for word, number in _NUMBERS.items()}


def _texts(rng: random.Random) -> list[str]:
    words = [*_NUMBERS, "eleven", "first", "a", "an", "the", "these", "no", "yes"]
    texts = [form(word) for word in words for form in (str, str.title, str.upper, "{} dogs".format, "dogs {}".format)]
    marks = [*string.punctuation, *FOREIGN_MARKS]
    contexts = "a{0}b", "a {0}b", "a{0} b", "a {0} b", "{0}a", "a{0}", "{0}", "a{0}b c{0} d", "1,2 a{0}b", "1{0}2"
    texts += [context.format(mark) for mark, context in product(marks, contexts)]
    texts += [f"a{one}b {two} c" for one, two in rng.sample(list(product(marks, marks)), 60)]
    texts += ["1,000", "1, 000", "1 ,000", "a,1", "1,a", "1,000-2,000", "1,000 t-shirts", "1.5,2"]
    texts += ["\u0663,\u0664", "\uff12,\uff13"]
    texts += ["5.", ".5", "5.5", "u.s.", "u.s.5", "a.b", "a. b", "a .b", "5.a", "1.2.3", "...", "5..5", "5...", ". ."]
    texts += [mark * count for mark in (".", "a.", ". ", "-.") for count in (31, 32, 33, 40)]
    texts += [contraction.title() for contraction in rng.sample(sorted(_CONTRACTIONS), 20)]
    texts += [f"{text} {contraction}" for text, contraction in product(["the", "two", "1,5"], ["dont", "im", "yall"])]
    for space in SPACES:
        texts += [f"a{space}dog", f"dog{space}", f"{space}dog", f"red{space}dog", f"red-{space}dog", space]
    texts += [f"{sign} the {sign}-{sign}" for sign in LETTERS_AND_DIGITS] + LETTERS_AND_DIGITS
    pieces = [*words, *marks, *SPACES, *LETTERS_AND_DIGITS, *_CONTRACTIONS, "dog", "1,0", "2.5", " ", " "]
    texts += ["".join(rng.choices(pieces, k=rng.randint(2, 8))) for _ in range(200)]
    return list(dict.fromkeys(texts))


def _without_apostrophes(word: str) -> list[str]:
    """The word with every choice of its apostrophes left out."""
    first, *rest = word.split("'")
    return [
        first + "".join(mark + part for mark, part in zip(kept, rest, strict=True))
        for kept in product(["'", ""], repeat=len(rest))
    ]


def _row(variants: list[str], rng: random.Random, all_agree: bool = False) -> Row:
    """Up to two people gave each of a few variants: the sum of those that equal the prediction shows in the score."""
    prediction, *others = rng.sample(variants, len(variants))
    people = [prediction] * rng.randint(0, 1)
    for variant in others[:4]:
        people += [variant] * rng.randint(1, 2)
    if all_agree:  # but for spaces
        people = [rng.choice([variants[0], f" {variants[0]}\n"]) for _ in range(NUM_PEOPLE)]
    people += [f"other {person}" for person in range(NUM_PEOPLE - len(people))]
    rng.shuffle(people)
    kind = rng.choice(["yes/no", "number", "other"])
    return Row(prediction, tuple(people), kind, rng.choice(["how many", "what", "none of the above", "is the"]))


def _variants(text: str) -> list[str]:
    """The text, and what it might become by rules that do or do not exist; none of it by the code under test."""
    deleted = "".join(sign for sign in text if sign not in string.punctuation)
    spaced = "".join(" " if sign in string.punctuation else sign for sign in text)
    lowered = " ".join(text.lower().split())
    plain = [word for word in lowered.split() if word not in ("a", "an", "the")]
    digits = " ".join(_NUMBERS.get(word, word) for word in plain)
    straight = " ".join(_CONTRACTIONS.get(word, word) for word in plain)
    return list(dict.fromkeys([text, deleted, spaced, lowered, " ".join(plain), digits, straight]))
