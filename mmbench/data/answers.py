"""The frequent answers of the training questions, which a classifier chooses among."""

from collections import Counter
from collections.abc import Iterable

from mmbench.data.example import Question
from mmbench.data.prompts import one_line


class FrequentAnswers:
    """The answers that most training questions have, in falling order of frequency; equally frequent ones as they came.

    Spellings that differ only in case or white space are one answer, written as it came first.

    Args:
        questions: the training questions; one whose annotators tie counts for each of the answers that tie.
        num_answers: at most so many are kept.
    """

    texts: list[str]
    """The answers, by class."""
    covered: float
    """The share of all training answers that are among these; 1 without questions."""

    def __init__(self, questions: Iterable[Question], num_answers: int) -> None:
        counts: Counter[str] = Counter()
        spelling: dict[str, str] = {}
        for question in questions:
            for answer in most_frequent(question):
                key = _key(answer)
                counts[key] += 1
                spelling.setdefault(key, answer)
        kept = counts.most_common(num_answers)
        self.texts = [spelling[key] for key, _ in kept]
        self.covered = sum(count for _, count in kept) / counts.total() if counts else 1.0
        self._classes = {_key(text): number for number, text in enumerate(self.texts)}

    @classmethod
    def of(cls, texts: list[str], covered: float) -> "FrequentAnswers":
        """Those that were found before, by class."""
        answers = cls([], 0)
        answers.texts, answers.covered = texts, covered
        answers._classes = {_key(text): number for number, text in enumerate(texts)}
        return answers

    def class_of(self, answer: str) -> int | None:
        """The answer's place among ``texts``; None where it is not frequent."""
        return self._classes.get(_key(answer))

    def as_written(self, answer: str) -> str:
        """The answer in the spelling that stands among ``texts``; one that is not frequent as it is."""
        number = self.class_of(answer)
        return answer if number is None else self.texts[number]


def most_frequent(question: Question) -> list[str]:
    """The answers that most annotators gave: one, or several where they tie, in the order they were given."""
    counts = Counter(answer.strip() for answer in question.answers)
    most = max(counts.values())
    return [answer for answer, count in counts.items() if count == most]


def check_choices(question: Question) -> None:
    """Refuse choices that leave open which one is right.

    Raises:
        ValueError: what is wrong with them.
    """
    keys = [_key(choice) for choice in question.choices]
    right = {_key(answer) for answer in most_frequent(question)} if question.answers else set()
    if len(keys) < 2 or len(set(keys)) < len(keys) or "" in keys:
        raise ValueError(f"{question.choices} must be 2 or more different texts")
    if sum(key in right for key in keys) != 1:
        raise ValueError(
            f"{question.choices} must hold exactly one of the answers that most annotators gave, {sorted(right)}"
        )


def _key(answer: str) -> str:
    return one_line(answer).casefold()
