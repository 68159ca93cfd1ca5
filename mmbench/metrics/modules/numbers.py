"""The base of metrics over examples that are a few numbers each, collected by id over batches and processes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from mmbench.metrics.modules.examples import Id, id_order, plain_id

_RELATIVE, _ABSOLUTE = 0.05, 0.01  # two results of one example, from half precision in another batch

_END = b"\n"


@dataclass(frozen=True)
class Numbers:
    """What is known of N different examples, in the order of their ids."""

    ids: list[Id]
    """[N]"""
    facts: Tensor
    """int64 [N]"""
    values: Tensor
    """float32 [N, W]"""


class NumberExamples(Metric):
    """Collects (id, fact, values): an integer that must be the same wherever an example comes again, and floats.

    Examples that a distributed sampler repeats are dropped, and of results that differ in their last bits the same one
    is kept whatever the order: the result depends neither on the batches nor on the number of processes.
    """

    full_state_update = False
    is_differentiable = False
    keys: list[Tensor]
    facts: list[Tensor]
    values: list[Tensor]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for state in ("keys", "facts", "values"):
            self.add_state(state, default=[], dist_reduce_fx="cat")
        self.num_duplicates = 0
        """Repeated examples that the last computation dropped."""

    def add(self, ids: Tensor | Sequence[Id], facts: Tensor, values: Tensor) -> None:
        """Add a batch.

        Args:
            ids: [n] strings or integers.
            facts: integers [n].
            values: [n, W] without NaN.

        Raises:
            ValueError: the three differ in length.
            TypeError: an id that is neither a string nor an integer.
        """
        if not len(ids) == len(facts) == len(values):
            raise ValueError(f"{len(ids)} ids for {len(values)} examples: the numbers must match")
        keys = b"".join(json.dumps(plain_id(example)).encode() + _END for example in ids)
        if not keys:
            return
        self.keys.append(torch.frombuffer(bytearray(keys), dtype=torch.uint8).to(self.device))
        # Flat, since a process without examples cannot know W when tensors are gathered; W stands beside each fact.
        facts = facts.detach().to(self.device, torch.int64)
        self.facts.append(torch.stack([facts, torch.full_like(facts, values.shape[1])], dim=1))
        self.values.append(values.detach().to(self.device, torch.float32).flatten())

    def numbers(self) -> Numbers:
        """The examples that are in the state now, each once.

        Raises:
            ValueError: no samples; an id with two different facts or values.
        """
        parts = [self.keys] if isinstance(self.keys, Tensor) else self.keys
        keys = b"".join(part.cpu().numpy().tobytes() for part in parts)
        if not keys:
            raise ValueError("no samples: nothing was added before the scores were asked for")
        ids: list[Id] = [json.loads(line) for line in keys.split(_END)[:-1]]
        facts = dim_zero_cat(self.facts)
        widths = sorted(set(facts[:, 1].tolist()))
        if len(widths) > 1:
            raise ValueError(f"examples with different numbers of values were added: {', '.join(map(str, widths))}")
        values = dim_zero_cat(self.values).reshape(len(ids), widths[0])
        place: dict[Id, int] = {}
        for again, example in enumerate(ids):
            first = place.setdefault(example, again)
            if first != again:
                _check_same(example, facts[[first, again], 0], values[[first, again]])
                place[example] = min(first, again, key=lambda row: values[row].tolist())
        self.num_duplicates = len(ids) - len(place)
        unique = sorted(place, key=id_order)
        rows = torch.tensor([place[example] for example in unique], device=values.device)
        return Numbers(unique, facts[rows, 0], values[rows])

    def gathered(self) -> Numbers:
        """The examples of all processes."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return self.numbers()

    def _sync_dist(self, *arguments: Any, **settings: Any) -> None:
        # A process without examples offers empty tensors of the others' types.
        if isinstance(self.keys, list) and not self.keys:
            self.keys.append(torch.zeros(0, dtype=torch.uint8, device=self.device))
            self.facts.append(torch.zeros(0, 2, dtype=torch.int64, device=self.device))
            self.values.append(torch.zeros(0, device=self.device))
        super()._sync_dist(*arguments, **settings)


def _check_same(example: Id, facts: Tensor, values: Tensor) -> None:
    same = torch.equal(values[0], values[1])  # infinite ones as well
    near = (values[0] - values[1]).norm() <= _RELATIVE * values[0].norm() + _ABSOLUTE
    if facts[0] != facts[1] or not (same or near):
        raise ValueError(f"{example!r} was added twice with different numbers")
