"""Examples for the metrics, and two gloo processes that score them: `two_processes.py FOLDER`."""

import multiprocessing
import random
import sys
from typing import Any

import torch
import torch.distributed as dist

from mmbench.metrics import (
    Bleu,
    CiderD,
    CrossModalRecall,
    ExactMatch,
    ExpectedCalibrationError,
    RougeL,
    TokenLoss,
    VQAAccuracy,
    ZeroShotAccuracy,
)

WORDS = ["a", "dog", "cat", "bus", "red", "two", "runs", "sits", "on", "in", "the", "snow", "grass"]
METRICS = [
    CiderD,
    Bleu,
    RougeL,
    VQAAccuracy,
    ExactMatch,
    CrossModalRecall,
    TokenLoss,
    ExpectedCalibrationError,
    ZeroShotAccuracy,
]


def examples(num: int = 23) -> list[tuple[int, str, list[str]]]:
    rng = random.Random(0)

    def text() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randrange(1, 6)))

    return [(image, text(), [text() for _ in range(5)]) for image in range(num)]


def embeddings(num: int = 23) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(num, 6, generator=generator)
    return images, images.repeat_interleave(2, 0) + torch.randn(2 * num, 6, generator=generator)


def make(kind: Any) -> Any:
    """A metric with nothing in it."""
    return kind(embeddings()[1][:8]) if kind is ZeroShotAccuracy else kind()


def add(metric: Any, batch: list[tuple[int, str, list[str]]]) -> None:
    if isinstance(metric, CrossModalRecall):
        images, texts = embeddings()
        ids = torch.tensor([example[0] for example in batch], dtype=torch.int64)
        captions = torch.stack([2 * ids, 2 * ids + 1], 1).flatten()
        metric.update(ids, images[ids], captions, texts[captions], captions // 2)
    elif not batch:
        return
    elif isinstance(metric, TokenLoss | ExpectedCalibrationError | ZeroShotAccuracy):
        images = embeddings()[0]
        names = [f"image {example[0]}" for example in batch]
        chosen = images[[example[0] for example in batch]]
        if isinstance(metric, TokenLoss):
            metric.update(names, chosen[:, :, None] * images[:5, 0], (chosen > 0).long(), chosen > -1.5)
        elif isinstance(metric, ZeroShotAccuracy):
            metric.update(names, chosen, [example[0] % 8 for example in batch])
        else:
            metric.update(names, chosen[:, 0].sigmoid(), chosen[:, 1] > 0)
    else:
        metric.update(*map(list, zip(*batch, strict=True)))


SHARES_OF_FIRST = (9, 0)
"""How many examples the first process gets, in two rounds."""


def run_process(rank: int, folder: str) -> None:
    """Score unequal shares that overlap by two examples, as a sampler's padding does, and save the results."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    results = {}
    for share in SHARES_OF_FIRST:
        for kind in METRICS:
            metric = make(kind)
            mine = examples()[:share] if rank == 0 else examples()[max(share - 2, 0) :]
            for start in range(0, len(mine), 5):
                add(metric, mine[start : start + 5])
            results[share, kind.__name__] = metric.compute()
    torch.save(results, f"{folder}/results{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    loaded = sorted(sys.modules)
    # Forked before torch starts a thread: loading torchmetrics takes seconds, and both processes need it.
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=run_process, args=(rank, sys.argv[1])) for rank in (0, 1)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
        process.kill()
        process.join()
    torch.save(loaded, f"{sys.argv[1]}/loaded.pt")
    sys.exit(any(process.exitcode for process in both))
