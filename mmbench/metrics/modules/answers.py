"""Accuracy of answers over batches and processes."""

from collections.abc import Sequence
from typing import Any

from mmbench.metrics.answers.vqa import exact_match, vqa_accuracy
from mmbench.metrics.modules.examples import Id, TextExamples, mean

_END_OF_GROUPS = ""  # no group has this name; an answer may be empty


class VQAAccuracy(TextExamples[dict[Id, float]]):
    """The official VQA accuracy, 0..1: `{"vqa_accuracy": mean}`, with `vqa_accuracy/<group>` for each group given.

    References are the (usually ten) human answers, groups mostly a question's answer type and its question type.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._members: dict[str, list[Id]] = {}

    def update(
        self,
        ids: Sequence[Id],
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        groups: Sequence[Sequence[str]] | None = None,
    ) -> None:
        """Add a batch.

        Args:
            ids: of the questions.
            predictions: one answer for each question.
            references: the human answers to each question.
            groups: names of the groups that each question counts in, such as `["number", "how many"]`.

        Raises:
            ValueError: the lists differ in length, or a group has no name.
            TypeError: an id, prediction, reference or group of a wrong type.
        """
        groups = [()] * len(references) if groups is None else groups
        if len(groups) != len(references):
            raise ValueError(f"{len(groups)} lists of groups do not match {len(references)} lists of references")
        for example, names in zip(ids, groups, strict=False):
            if isinstance(names, str) or not all(isinstance(name, str) for name in names):
                raise TypeError(f"the groups of {example!r} are not a list of strings")
            if _END_OF_GROUPS in names:
                raise ValueError(f"a group of {example!r} has no name")
        # A question's groups travel before its answers, so that both are gathered and compared in one.
        texts = [
            answers if isinstance(answers, str) else [*names, _END_OF_GROUPS, *answers]
            for names, answers in zip(groups, references, strict=True)
        ]
        super().update(ids, predictions, texts)

    def score_all(self, references: dict[Id, list[str]], predictions: dict[Id, str]) -> dict[Id, float]:
        answers: dict[Id, list[str]] = {}
        self._members = {}
        for question, texts in references.items():
            end = texts.index(_END_OF_GROUPS)
            answers[question] = texts[end + 1 :]
            for name in dict.fromkeys(texts[:end]):
                self._members.setdefault(name, []).append(question)
        return vqa_accuracy(predictions, answers)

    def summarize(self, scores: dict[Id, float]) -> dict[str, float]:
        groups = {
            f"vqa_accuracy/{name}": mean({question: scores[question] for question in members})
            for name, members in sorted(self._members.items())
        }
        return {"vqa_accuracy": mean(scores)} | groups


class ExactMatch(TextExamples[dict[Id, float]]):
    """Whether any answer is met after the official normalisation, 0..1: `{"exact_match": mean}`."""

    def score_all(self, references: dict[Id, list[str]], predictions: dict[Id, str]) -> dict[Id, float]:
        return exact_match(predictions, references)

    def summarize(self, scores: dict[Id, float]) -> dict[str, float]:
        return {"exact_match": mean(scores)}
