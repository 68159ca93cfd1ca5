"""The two tables a cell leaves, example by example: scores and predictions."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mmbench.config.whole_file import whole_file
from mmbench.data.evaluation_split import EvaluationSplit
from mmbench.data.example import Example, Question
from mmbench.data.prompts import CAPTION_PROMPT, question_prompt
from mmbench.metrics import RetrievalScores, choice_accuracy, cider_d, exact_match, vqa_accuracy
from mmbench.metrics.answers.normalization import normalize_answer, strip_answer

SCORE_COLUMNS = ["system", "seed", "metric", "example_id", "cluster_id", "score"]
PREDICTION_COLUMNS = [
    "system",
    "seed",
    "split",
    "task",
    "example_id",
    "image_id",
    "kind",
    "prompt",
    "prediction",
    "references",
]
FEWEST_ANSWERS = 4
"""Official VQA accuracy cannot reach 1 with fewer human answers; such questions are scored as `exact_match`."""


class ScoreTable:
    """Rows of scores of one cell; the cluster of every example is its image."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str, float]] = []

    def add(self, metric: str, scores: Mapping[str, float], image_of: Mapping[str, str]) -> None:
        """Scores by example id."""
        self._rows += [(metric, example, image_of[example], float(score)) for example, score in scores.items()]

    def frame(self, system: str, seed: int) -> pd.DataFrame:
        """The table, in the order in which the rows were added."""
        frame = pd.DataFrame(self._rows, columns=SCORE_COLUMNS[2:])
        frame.insert(0, "seed", seed)
        frame.insert(0, "system", system)
        return frame.astype({"seed": "int64", "score": "float64"})


def questions_of(split: EvaluationSplit) -> list[tuple[int, Question]]:
    """(index of the image, question) for every question of a split."""
    return [(index, question) for index, example in enumerate(split.examples) for question in example.questions]


def choices_of(split: EvaluationSplit) -> list[tuple[int, Question]]:
    """(index of the image, question) for every question of a split that has choices."""
    return [(index, question) for index, question in questions_of(split) if question.choices]


def right_choice(question: Question) -> int:
    """The place of the choice that most people gave as their answer; the first of equals."""
    answers = [normalize_answer(strip_answer(answer)) for answer in question.answers]
    counts = [answers.count(normalize_answer(strip_answer(choice))) for choice in question.choices]
    return counts.index(max(counts))


def captions_of(split: EvaluationSplit) -> list[tuple[int, str, str]]:
    """(index of the image, caption id, caption) for every caption of a split."""
    return [
        (index, f"{example.image_id}#caption{number}", caption)
        for index, example in enumerate(split.examples)
        for number, caption in enumerate(example.captions)
    ]


def score_captions(table: ScoreTable, split: EvaluationSplit, predictions: Mapping[str, str]) -> None:
    """CIDEr-D of each image with captions, with the split's own document frequency."""
    references = {example.image_id: example.captions for example in split.examples if example.image_id in predictions}
    table.add("cider_d", cider_d(references, predictions), {image: image for image in references})


def score_answers(table: ScoreTable, split: EvaluationSplit, predictions: Mapping[str, str], suffix: str = "") -> None:
    """Official VQA accuracy where enough people answered, normalised exact match for the other questions.

    ``suffix`` goes behind the metrics' names.
    """
    image_of = {question.id: split.examples[index].image_id for index, question in questions_of(split)}
    answers = {question.id: question.answers for _, question in questions_of(split)}
    for metric, score, enough in (("vqa_accuracy", vqa_accuracy, True), ("exact_match", exact_match, False)):
        chosen = {i: given for i, given in answers.items() if (len(given) >= FEWEST_ANSWERS) == enough}
        if chosen:
            table.add(metric + suffix, score({i: predictions[i] for i in chosen}, chosen), image_of)


def score_choices(table: ScoreTable, split: EvaluationSplit, scores: Mapping[str, Sequence[float]]) -> None:
    """Whether the right choice of each question has the highest score; ties share."""
    asked = choices_of(split)
    right = {question.id: right_choice(question) for _, question in asked}
    image_of = {question.id: split.examples[index].image_id for index, question in asked}
    table.add("choice_accuracy", choice_accuracy(scores, right), image_of)


def score_matches(table: ScoreTable, split: EvaluationSplit, scores: Mapping[str, Sequence[float]]) -> None:
    """Whether each caption has a higher score than its foil (of two scores the first and the second); ties are half."""
    image_of = {caption_id: split.examples[index].image_id for index, caption_id, _ in captions_of(split)}
    if scores:
        table.add("match_accuracy", choice_accuracy(scores, dict.fromkeys(scores, 0)), image_of)


def score_images(table: ScoreTable, metric: str, scores: Mapping[str, float]) -> None:
    """A metric that has one score an image."""
    table.add(metric, scores, {image: image for image in scores})


def score_retrieval(
    table: ScoreTable, split: EvaluationSplit, ranks: RetrievalScores, ks: Sequence[int], prefix: str = ""
) -> None:
    """Recall@K of each query in both directions: the expected value under ties, and both extremes beside it.

    ``prefix`` goes before the metrics' names.
    """
    images = [example.image_id for example in split.examples]
    captions = {caption_id: images[index] for index, caption_id, _ in captions_of(split)}
    image_of = {**captions, **{image: image for image in images}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # K above the gallery: the report states the gallery's size.
        per_query = ranks.per_query(ks)
    for name, (queries, scores) in per_query.items():
        ids = images if name.startswith("image_to_text") else list(captions)
        table.add(
            prefix + name, {ids[int(query)]: score for query, score in zip(queries, scores, strict=True)}, image_of
        )


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a parquet file, whole or not at all."""
    with whole_file(path) as part:
        frame.to_parquet(part, index=False)


def caption_row(example: Example, prediction: str) -> dict[str, Any]:
    """The row of a caption."""
    return {
        "task": "caption",
        "example_id": example.image_id,
        "image_id": example.image_id,
        "kind": "",
        "prompt": CAPTION_PROMPT,
        "prediction": prediction,
        "references": example.captions,
    }


def answer_row(example: Example, question: Question, prediction: str) -> dict[str, Any]:
    """The row of an answer."""
    return {
        "task": "answer",
        "example_id": question.id,
        "image_id": example.image_id,
        "kind": question.kind,
        "prompt": question_prompt(question.text),
        "prediction": prediction,
        "references": question.answers,
    }


def choice_row(example: Example, question: Question, scores: Sequence[float]) -> dict[str, Any]:
    """The row of a choice; the first of those that share the highest score."""
    return {
        **answer_row(example, question, question.choices[list(scores).index(max(scores))]),
        "task": "choose",
        "references": [question.choices[right_choice(question)]],
    }


def predictions_frame(rows: list[dict[str, Any]], system: str, seed: int, split: str) -> pd.DataFrame:
    """The table of raw predictions of one cell on one split."""
    frame = pd.DataFrame(rows, columns=[c for c in PREDICTION_COLUMNS if c not in ("system", "seed", "split")])
    frame.insert(0, "split", split)
    frame.insert(0, "seed", seed)
    frame.insert(0, "system", system)
    return frame.astype({"seed": "int64"})
