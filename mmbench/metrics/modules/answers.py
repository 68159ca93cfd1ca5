"""Accuracy of answers over batches and processes."""

from mmbench.metrics.answers.vqa import exact_match, vqa_accuracy
from mmbench.metrics.modules.examples import Id, TextExamples, mean


class VQAAccuracy(TextExamples[dict[Id, float]]):
    """The official VQA accuracy, 0..1: `{"vqa_accuracy": mean}`; references are the (usually ten) human answers."""

    def score_all(self, references: dict[Id, list[str]], predictions: dict[Id, str]) -> dict[Id, float]:
        return vqa_accuracy(predictions, references)

    def summarize(self, scores: dict[Id, float]) -> dict[str, float]:
        return {"vqa_accuracy": mean(scores)}


class ExactMatch(TextExamples[dict[Id, float]]):
    """Whether any answer is met after the official normalisation, 0..1: `{"exact_match": mean}`."""

    def score_all(self, references: dict[Id, list[str]], predictions: dict[Id, str]) -> dict[Id, float]:
        return exact_match(predictions, references)

    def summarize(self, scores: dict[Id, float]) -> dict[str, float]:
        return {"exact_match": mean(scores)}
