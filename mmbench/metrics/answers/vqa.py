"""VQA accuracy as the official evaluation computes it (Antol et al. 2015, arXiv 1505.00468; Goyal et al. 2017)."""

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from mmbench.metrics.answers.normalization import normalize_answer, strip_answer
from mmbench.metrics.ids import Id, Missing, match_ids

Group = TypeVar("Group")

_ENOUGH = 3  # agreeing people that make an answer fully right


def vqa_accuracy(
    predictions: Mapping[Id, str], answers: Mapping[Id, Sequence[str]], missing: Missing = "error"
) -> dict[Id, float]:
    """Accuracy of each question, 0..1; the overall accuracy is their mean.

    Each human answer is left out in turn and the prediction scored min(1, matches among the others / 3); with ten
    answers, 0, 1, 2, 3, 4 matches give 0, 0.3, 0.6, 0.9, 1. Answers are normalised only where the people do not all
    agree: "Dog" does not match ten times "dog".

    Args:
        predictions: the answer to each question.
        answers: the human answers to each question, usually ten; each is a separate answer, as with the official files'
            answer ids.
        missing: "zero" scores questions without prediction as an empty answer.

    Raises:
        ValueError: no samples, a question without answers, missing or unknown ids.
        TypeError: an answer that is not a string.
    """
    predictions = check_answers(predictions, answers, missing)
    cache = _Normalized()
    return {question: _score(predictions[question], people, cache) for question, people in answers.items()}


def multiple_choice_accuracy(
    predictions: Mapping[Id, str], answers: Mapping[Id, str], missing: Missing = "error"
) -> dict[Id, float]:
    """1 for each question whose chosen answer is the right one after the official normalisation, else 0.

    Raises:
        ValueError: no samples, missing or unknown ids.
        TypeError: an answer that is not a string.
    """
    return exact_match(predictions, {question: [answer] for question, answer in answers.items()}, missing)


def exact_match(
    predictions: Mapping[Id, str], answers: Mapping[Id, Sequence[str]], missing: Missing = "error"
) -> dict[Id, float]:
    """1 for each question whose prediction equals any of the answers after the official normalisation, else 0.

    Raises:
        ValueError: no samples, a question without answers, missing or unknown ids.
        TypeError: an answer that is not a string.
    """
    predictions = check_answers(predictions, answers, missing, few_answers=False)
    cache = _Normalized()
    return {
        question: float(any(cache[predictions[question]] == cache[answer] for answer in people))
        for question, people in answers.items()
    }


def mean_by_group(scores: Mapping[Id, float], group_of: Mapping[Id, Group]) -> dict[Group, float]:
    """Mean of the unrounded scores of each group (answer type, question type), groups in the order of appearance.

    Raises:
        KeyError: an example without a group.
    """
    values: dict[Group, list[float]] = {}
    for example, score in scores.items():
        values.setdefault(group_of[example], []).append(score)
    return {group: sum(members) / len(members) for group, members in values.items()}


def num_answers(answers: Mapping[Id, Sequence[str]]) -> dict[int, int]:
    """How many questions have how many human answers."""
    return dict(sorted(Counter(map(len, answers.values())).items()))


def check_answers(
    predictions: Mapping[Id, str],
    answers: Mapping[Id, Sequence[str]],
    missing: Missing = "error",
    few_answers: bool = True,
) -> Mapping[Id, str]:
    """The predictions to score, or an error that names the ids.

    Args:
        few_answers: whether to warn of questions with fewer than four answers, which cannot reach 1.

    Raises:
        ValueError, TypeError: as `vqa_accuracy`.
    """
    if not answers:
        raise ValueError("no samples: there are no answers to score against")
    for question, people in answers.items():
        if isinstance(people, str):
            raise TypeError(f"the answers to {question!r} are one string; give a list of strings")
        if not people:
            raise ValueError(f"question {question!r} has no answers")
        _check_strings(question, people, "an answer to")
    for question, prediction in predictions.items():
        _check_strings(question, [prediction], "the prediction for")
    fewest = min(map(len, answers.values()))
    if few_answers and fewest <= _ENOUGH:
        distribution = ", ".join(f"{count} with {size}" for size, count in num_answers(answers).items())
        warnings.warn(
            f"questions with fewer than 4 answers cannot reach a VQA accuracy of 1, and with one answer always get 0 "
            f"(use exact_match there); questions by number of answers: {distribution}",
            stacklevel=3,
        )
    return match_ids(answers, predictions, missing)


def _check_strings(question: object, texts: Iterable[object], what: str) -> None:
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{what} question {question!r} is of type {type(text).__name__}, not a string")


def _score(prediction: str, people: Sequence[str], cache: "_Normalized") -> float:
    stripped = [strip_answer(answer) for answer in people]
    if stripped.count(stripped[0]) == len(stripped):
        matches = stripped.count(strip_answer(prediction))
    else:
        matches = [cache[answer] for answer in people].count(cache[prediction])
    # A person who gave the predicted answer has one match fewer among the others.
    agreeing = min(1.0, (matches - 1) / _ENOUGH) if matches else 0.0
    others = min(1.0, matches / _ENOUGH)
    return sum([agreeing] * matches + [others] * (len(people) - matches)) / len(people)


class _Normalized(dict[str, str]):
    """Answers after normalisation; the same few stand in most questions."""

    def __missing__(self, answer: str) -> str:
        self[answer] = normalized = normalize_answer(strip_answer(answer))
        return normalized
