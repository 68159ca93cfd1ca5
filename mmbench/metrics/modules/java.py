"""METEOR and SPICE over batches and processes; they need the extra `mmbench[java]` (see `unavailable`)."""

from mmbench.metrics.java.meteor import MeteorScores, meteor
from mmbench.metrics.java.spice import spice
from mmbench.metrics.modules.examples import Id, TextExamples, mean


class Meteor(TextExamples[MeteorScores[Id]]):
    """METEOR 1.5 of the corpus, 0..1: `{"meteor": …}`; it is no mean over images."""

    def score_all(self, references: dict[Id, list[str]], predictions: dict[Id, str]) -> MeteorScores[Id]:
        return meteor(references, predictions)

    def summarize(self, scores: MeteorScores[Id]) -> dict[str, float]:
        return {"meteor": scores.corpus}


class Spice(TextExamples[dict[Id, float]]):
    """SPICE, 0..1: `{"spice": mean}`."""

    def score_all(self, references: dict[Id, list[str]], predictions: dict[Id, str]) -> dict[Id, float]:
        return spice(references, predictions)

    def summarize(self, scores: dict[Id, float]) -> dict[str, float]:
        return {"spice": mean(scores)}
