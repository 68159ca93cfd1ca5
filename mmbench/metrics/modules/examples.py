"""The base of metrics over text examples: they collect raw text by id over batches and processes, and score it once."""

import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torchmetrics import Metric

Id = int | str
Scores = TypeVar("Scores")

_END = b"\n"


class TextExamples(Metric, Generic[Scores]):
    """Collects (id, prediction, references) and scores all of them together.

    A corpus score of text is no mean over batches: document frequencies, and the tokeniser's look at the next
    caption, need the whole corpus. So the text itself is the state (as bytes, which any process group can gather),
    examples that a distributed sampler repeats are dropped, and the examples are put in the order of their ids: the
    result depends neither on the batches nor on the number of processes.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False
    records: list[Tensor]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_state("records", default=[], dist_reduce_fx="cat")
        self.num_duplicates = 0
        """Repeated examples that the last computation dropped."""

    def update(self, ids: Sequence[Id], predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        """Add a batch.

        Args:
            ids: of the images or questions.
            predictions: one text for each id.
            references: the reference texts for each id.

        Raises:
            ValueError: the three differ in length.
            TypeError: an id, prediction or reference of a wrong type.
        """
        if not len(ids) == len(predictions) == len(references):
            raise ValueError(
                f"{len(ids)} ids, {len(predictions)} predictions and {len(references)} lists of references do not match"
            )
        lines = []
        for example, prediction, texts in zip(ids, predictions, references, strict=True):
            key = plain_id(example)
            if not isinstance(prediction, str):
                raise TypeError(f"the prediction of {key!r} is of type {type(prediction).__name__}, not a string")
            if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
                raise TypeError(f"the references of {key!r} are not a list of strings")
            lines.append(json.dumps([key, prediction, list(texts)]).encode() + _END)
        if lines:
            self.records.append(torch.frombuffer(bytearray(b"".join(lines)), dtype=torch.uint8).to(self.device))

    def compute(self) -> dict[str, float]:
        """Corpus scores by metric name.

        Raises:
            ValueError: no samples, an id with two different predictions, or what the metric refuses.
        """
        return self.summarize(self.score())

    def per_example(self) -> Scores:
        """Scores of each example, by id, over all processes."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return self.score()

    def score(self) -> Scores:
        """Scores of the examples that are in the state now."""
        predictions: dict[Id, str] = {}
        references: dict[Id, list[str]] = {}
        self.num_duplicates = 0
        for example, prediction, texts in sorted(self._examples(), key=lambda record: id_order(record[0])):
            if example not in predictions:
                predictions[example], references[example] = prediction, texts
            elif (predictions[example], references[example]) == (prediction, texts):
                self.num_duplicates += 1
            else:
                raise ValueError(f"{example!r} has two different predictions or lists of references")
        if not predictions:
            raise ValueError("no samples: nothing was added before the scores were asked for")
        return self.score_all(references, predictions)

    @abstractmethod
    def score_all(self, references: dict[Id, list[str]], predictions: dict[Id, str]) -> Scores:
        """Scores of the whole corpus, in the order of ids."""

    @abstractmethod
    def summarize(self, scores: Scores) -> dict[str, float]:
        """Corpus scores by metric name."""

    def _examples(self) -> Iterator[tuple[Id, str, list[str]]]:
        parts = self.records if isinstance(self.records, list) else [self.records]
        for part in parts:
            for line in part.cpu().numpy().tobytes().split(_END):
                if line:
                    example, prediction, texts = json.loads(line)
                    yield example, prediction, texts

    def _sync_dist(self, *arguments: Any, **settings: Any) -> None:
        # A process without examples must offer bytes as the others do, or the gathering fails.
        if isinstance(self.records, list) and not self.records:
            self.records.append(torch.zeros(0, dtype=torch.uint8, device=self.device))
        super()._sync_dist(*arguments, **settings)


def mean(scores: dict[Id, float]) -> float:
    """The plain mean over examples."""
    return sum(scores.values()) / len(scores)


def plain_id(example: Any) -> Id:
    """The id as it can be written and read back."""
    if isinstance(example, Tensor) and example.ndim == 0:
        example = example.item()
    if isinstance(example, str) or (isinstance(example, int) and not isinstance(example, bool)):
        return example
    raise TypeError(f"an id is of type {type(example).__name__}, not a string or an integer: {example!r}")


def id_order(example: Id) -> tuple[bool, Id]:
    """Integers in their order, then strings in theirs."""
    return isinstance(example, str), example
