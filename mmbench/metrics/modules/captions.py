"""Caption metrics over batches and processes: CIDEr-D, CIDEr, BLEU, ROUGE-L."""

from typing import Any

from mmbench.metrics.captions.bleu import BleuScores, bleu
from mmbench.metrics.captions.cider import DocumentFrequency, cider, cider_d
from mmbench.metrics.captions.rouge import rouge_l
from mmbench.metrics.modules.examples import Id, TextExamples, mean


class CiderD(TextExamples[dict[Id, float]]):
    """CIDEr-D, 0..10: `compute()` gives `{"cider_d": mean}`, `per_example()` the score of each image.

    Args:
        document_frequency: a fixed table; by default the frequencies are those of the images that were added.
        settings: of `torchmetrics.Metric`.
    """

    def __init__(self, document_frequency: DocumentFrequency | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.document_frequency = document_frequency

    def score_all(self, references: dict[Id, list[str]], predictions: dict[Id, str]) -> dict[Id, float]:
        return cider_d(references, predictions, self.document_frequency)

    def summarize(self, scores: dict[Id, float]) -> dict[str, float]:
        return {"cider_d": mean(scores)}


class Cider(CiderD):
    """CIDEr without clipping and length penalty, `{"cider": mean}`; what is published as CIDEr is mostly `CiderD`."""

    def score_all(self, references: dict[Id, list[str]], predictions: dict[Id, str]) -> dict[Id, float]:
        return cider(references, predictions, self.document_frequency)

    def summarize(self, scores: dict[Id, float]) -> dict[str, float]:
        return {"cider": mean(scores)}


class Bleu(TextExamples[BleuScores[Id]]):
    """BLEU-1..4 of the corpus: `{"bleu_1": …, "bleu_4": …}`, fractions; they are no means over images."""

    def score_all(self, references: dict[Id, list[str]], predictions: dict[Id, str]) -> BleuScores[Id]:
        return bleu(references, predictions)

    def summarize(self, scores: BleuScores[Id]) -> dict[str, float]:
        return {f"bleu_{order}": score for order, score in enumerate(scores.corpus, start=1)}


class RougeL(TextExamples[dict[Id, float]]):
    """ROUGE-L, 0..1: `{"rouge_l": mean}`."""

    def score_all(self, references: dict[Id, list[str]], predictions: dict[Id, str]) -> dict[Id, float]:
        return rouge_l(references, predictions)

    def summarize(self, scores: dict[Id, float]) -> dict[str, float]:
        return {"rouge_l": mean(scores)}
