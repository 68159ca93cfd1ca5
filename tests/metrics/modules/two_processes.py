"""Examples for the metrics, and one of two gloo processes that score them: `two_processes.py RANK FOLDER`."""

import random
import sys
from typing import Any

import torch
import torch.distributed as dist

from mmbench.metrics import Bleu, CiderD, CrossModalRecall, ExactMatch, RougeL, VQAAccuracy

WORDS = ["a", "dog", "cat", "bus", "red", "two", "runs", "sits", "on", "in", "the", "snow", "grass"]
METRICS = [CiderD, Bleu, RougeL, VQAAccuracy, ExactMatch, CrossModalRecall]


def examples(num: int = 23) -> list[tuple[int, str, list[str]]]:
    rng = random.Random(0)

    def text() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randrange(1, 6)))

    return [(image, text(), [text() for _ in range(5)]) for image in range(num)]


def embeddings(num: int = 23) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(num, 6, generator=generator)
    return images, images.repeat_interleave(2, 0) + torch.randn(2 * num, 6, generator=generator)


def add(metric: Any, batch: list[tuple[int, str, list[str]]]) -> None:
    if isinstance(metric, CrossModalRecall):
        images, texts = embeddings()
        ids = torch.tensor([example[0] for example in batch], dtype=torch.int64)
        captions = torch.stack([2 * ids, 2 * ids + 1], 1).flatten()
        metric.update(ids, images[ids], captions, texts[captions], captions // 2)
    elif batch:
        metric.update(*map(list, zip(*batch, strict=True)))


SHARES_OF_FIRST = (9, 0)
"""How many examples the first process gets, in two rounds."""


def run_process(rank: int, folder: str) -> None:
    """Score unequal shares that overlap by two examples, as a sampler's padding does, and save the results."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    results = {}
    for share in SHARES_OF_FIRST:
        for kind in METRICS:
            metric = kind()
            mine = examples()[:share] if rank == 0 else examples()[max(share - 2, 0) :]
            for start in range(0, len(mine), 5):
                add(metric, mine[start : start + 5])
            results[share, kind.__name__] = metric.compute()
    torch.save(results, f"{folder}/results{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    run_process(int(sys.argv[1]), sys.argv[2])
