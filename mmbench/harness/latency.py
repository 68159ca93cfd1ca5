"""Latency as a user would feel it: one checkpoint of each system, interleaved, over rising resolution.

Each system is timed for what it can do; what it cannot do has no row.
"""

import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mmbench.config.training import LatencySettings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.evaluation_split import EvaluationSplit
from mmbench.data.example import TEST
from mmbench.data.prompts import CAPTION_PROMPT, continuation, question_prompt
from mmbench.families.family import Family
from mmbench.harness.cell import load_cell
from mmbench.harness.opened import open_run
from mmbench.harness.precision import device_of, inference
from mmbench.harness.run_files import read_json, write_json
from mmbench.harness.spending import peak_memory_bytes
from mmbench.harness.timing import seconds

_FULL = LatencySettings(repeats=100, resolutions=[1.0, 1.5, 2.0, 3.0, 4.0])


def measure_latency(root: Path, systems: list[tuple[str, int]]) -> None:
    """Time every (system, seed) and write ``latency.json``; a system and size that was timed before is not timed again.

    All systems are timed in turn within each repeat, so that a drift of the machine hits all alike.
    """
    opened = open_run(root)
    asked = opened.settings.latency
    plan = (
        LatencySettings(_FULL.repeats, asked.warmup, asked.large_batch, _FULL.resolutions, asked.tokens)
        if asked.full
        else asked
    )
    device = device_of(opened.settings.trainer)
    families = {system: load_cell(opened.files.cell(system, seed).root)[0].to(device) for system, seed in systems}
    split = opened.datamodule.split(TEST)
    texts = Texts.of(opened.datamodule, split, opened.settings.evaluation.max_answer_tokens)
    rows = read_json(opened.files.latency)["rows"] if opened.files.latency.exists() else []
    work = [(batch, factor) for factor in plan.resolutions for batch in (1, plan.large_batch)]
    for number, (batch_size, factor) in enumerate(work):
        side = side_near(families, opened.settings.image_size, factor)
        if any(row["batch_size"] == batch_size and row["image_size"] == side for row in rows):
            continue
        indices = [i % len(split) for i in range(batch_size)]
        images = resized(split.images(indices).to(device), side)
        step = step_of(families)
        sizes = resized_sizes(split.sizes(indices).to(device), opened.settings.image_size, side, step)
        with inference(opened.settings.trainer, device):
            timed = _interleaved(families, images, sizes, texts, plan)
            tokens = {name: family.cost(images, sizes)["image_tokens"] for name, family in families.items()}
        for (system, measure), values in timed.items():
            rows.append(_row(system, measure, values, batch_size, side, tokens[system], plan))
        write_json(
            opened.files.latency,
            {
                "device": read_json(opened.files.probe)["device"],
                "repeats": plan.repeats,
                "complete": number + 1 == len(work),
                "rows": rows,
            },
        )
        write_json(opened.files.latency_progress, {"phase": "latency", "fraction": (number + 1) / len(work)})


@dataclass(frozen=True)
class Texts:
    """What every system is timed on, as token ids."""

    caption_prompt: list[int]
    """What a caption follows."""
    question: list[int]
    """What an answer follows."""
    caption: list[int]
    """What is embedded."""
    max_answer_tokens: int
    """Longest answer."""

    @classmethod
    def of(cls, datamodule: MultimodalDataModule, split: EvaluationSplit, max_answer_tokens: int) -> "Texts":
        """The first question and caption of a split."""
        caption = next((e.captions[0] for e in split.examples if e.captions), "a picture")
        question = next((e.questions[0].text for e in split.examples if e.questions), "what is this?")
        encode = datamodule.tokenizer.encode
        ids = encode(CAPTION_PROMPT), encode(question_prompt(question)), encode(continuation(caption))
        return cls(*ids, max_answer_tokens)


def seconds_of_task(
    family: Family, task: str, images: Tensor, sizes: Tensor, texts: Texts, plan: LatencySettings
) -> float:
    """Median seconds of what a user of a family waits for: a caption of a fixed number of tokens, an answer, or the
    embedding of an image; where the family cannot do ``task``, or for another one, the first of these that it can do.

    Args:
        family: in evaluation mode.
        task: ``caption``, ``answer``, ``retrieve``, or another.
        images: uint8 ``[B, 3, S, S]``.
        sizes: int64 ``[B, 2]``.
        texts: what is asked.
        plan: repeats, warm-up and tokens.
    """
    able = [name for name in (task, *_WAITED_FOR) if name in family.able() and name in _WAITED_FOR]
    if not able:
        return math.nan
    measure = _WAITED_FOR[able[0]]
    times = [
        _measure(family, images, sizes, texts, plan.tokens, only=able[0])[measure]
        for _ in range(plan.warmup + max(1, plan.repeats))
    ]
    return statistics.median(times[plan.warmup :])


_WAITED_FOR = {"caption": "caption_s", "answer": "answer_s", "retrieve": "embed_image_s"}
"""Task -> the measure that its user feels."""


def _interleaved(
    families: dict[str, Family], images: Tensor, sizes: Tensor, texts: Texts, plan: LatencySettings
) -> dict[tuple[str, str], list[float]]:
    """(system, measure) -> seconds of each repeat."""
    timed: dict[tuple[str, str], list[float]] = {}
    for repeat in range(-plan.warmup, plan.repeats):
        for system, family in families.items():
            for measure, value in _measure(family, images, sizes, texts, plan.tokens).items():
                if repeat >= 0:
                    timed.setdefault((system, measure), []).append(value)
    return timed


def _measure(
    family: Family, images: Tensor, sizes: Tensor, texts: Texts, num_tokens: int, only: str = ""
) -> dict[str, float]:
    """Seconds of each thing a user waits for, or of those of one task."""
    tasks = {only} if only else family.able()
    found: dict[str, float] = {}

    def timed(work: Callable[[], Any]) -> float:
        return seconds(work, images.device)

    if "caption" in tasks:
        prompts = [texts.caption_prompt] * len(images)
        # The tokens' number is fixed, so that systems are timed alike.
        with _endless(family):
            first = timed(lambda: family.caption(family.see(images, sizes), prompts, 1))
            whole = timed(lambda: family.caption(family.see(images, sizes), prompts, num_tokens))
        found["first_token_s"] = first
        found["per_token_s"] = max(1e-9, whole - first) / (num_tokens - 1)
        found["tokens_per_s"] = len(images) * num_tokens / whole
        found["caption_s"] = whole
    if "answer" in tasks:
        # An answer as it is given: a class in one pass, or words up to their end.
        questions, most = [texts.question] * len(images), texts.max_answer_tokens
        found["answer_s"] = timed(lambda: family.answer(family.see(images, sizes), questions, most))
    if "retrieve" in tasks:
        found["embed_image_s"] = timed(lambda: family.embed_images(images, sizes))
        found["embed_text_s"] = timed(lambda: family.embed_texts([texts.caption] * len(images)))
    return found


@contextmanager
def _endless(family: Family) -> Iterator[None]:
    """No token ends a text meanwhile."""
    end, family.eos_id = family.eos_id, -1
    try:
        yield
    finally:
        family.eos_id = end


def _row(
    system: str, measure: str, values: list[float], batch_size: int, side: int, image_tokens: int, plan: LatencySettings
) -> dict[str, Any]:
    ordered = sorted(values)
    return {
        "system": system,
        "batch_size": batch_size,
        "image_size": side,
        "image_tokens": image_tokens,
        "measure": measure,
        "p50": statistics.median(ordered),
        "p95": ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))],
        "unit": "tokens/s" if measure == "tokens_per_s" else "s",
        "num_repeats": plan.repeats,
        "peak_memory_bytes": peak_memory_bytes(),
    }


def resized(images: Tensor, side: int) -> Tensor:
    """uint8 images with another side; only the number of tokens matters here, not what they show."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images.float(), size=(side, side), mode="bilinear").to(torch.uint8)


def resized_sizes(sizes: Tensor, image_size: int, side: int, step: int) -> Tensor:
    """The sizes ``[B, 2]`` of pictures whose square of ``image_size`` now has ``side``: multiples of ``step``."""
    if side == image_size:
        return sizes
    return ((sizes * side / (image_size * step)).round().long() * step).clamp(step, side)


def step_of(families: dict[str, Family]) -> int:
    """The number of pixels of which every family's images must be multiples."""
    return math.lcm(*(family.size_step for family in families.values()))


def side_near(families: dict[str, Family], image_size: int, factor: float) -> int:
    """The side nearest to ``factor`` times the scale's that every family can read."""
    step = step_of(families)
    return max(step, round(image_size * factor / step) * step)
