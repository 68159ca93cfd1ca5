"""Latency as a user would feel it: one checkpoint of each system, interleaved, over rising resolution."""

import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mmbench.config.training import LatencySettings
from mmbench.data.example import TEST
from mmbench.data.prompts import CAPTION_PROMPT, continuation
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
    prompt = opened.datamodule.tokenizer.encode(CAPTION_PROMPT)
    text = next((e.captions[0] for e in split.examples if e.captions), "a picture")
    caption = opened.datamodule.tokenizer.encode(continuation(text))
    rows = read_json(opened.files.latency)["rows"] if opened.files.latency.exists() else []
    sizes = [(batch, factor) for factor in plan.resolutions for batch in (1, plan.large_batch)]
    for number, (batch_size, factor) in enumerate(sizes):
        side = side_near(families, opened.settings.image_size, factor)
        if any(row["batch_size"] == batch_size and row["image_size"] == side for row in rows):
            continue
        pixels = split.images([i % len(split) for i in range(batch_size)]).to(device)
        images = resized(pixels, side)
        with inference(opened.settings.trainer, device):
            timed = _interleaved(families, images, prompt, caption, plan)
            tokens = {name: family.cost(images)["image_tokens"] for name, family in families.items()}
        for (system, measure), values in timed.items():
            rows.append(_row(system, measure, values, batch_size, side, tokens[system], plan))
        write_json(
            opened.files.latency,
            {
                "device": read_json(opened.files.probe)["device"],
                "repeats": plan.repeats,
                "complete": number + 1 == len(sizes),
                "rows": rows,
            },
        )
        write_json(opened.files.latency_progress, {"phase": "latency", "fraction": (number + 1) / len(sizes)})


def _interleaved(
    families: dict[str, Family], images: Tensor, prompt: list[int], caption: list[int], plan: LatencySettings
) -> dict[tuple[str, str], list[float]]:
    """(system, measure) -> seconds of each repeat."""
    timed: dict[tuple[str, str], list[float]] = {}
    for repeat in range(-plan.warmup, plan.repeats):
        for system, family in families.items():
            for measure, value in _measure(family, images, prompt, caption, plan.tokens).items():
                if repeat >= 0:
                    timed.setdefault((system, measure), []).append(value)
    return timed


def _measure(
    family: Family, images: Tensor, prompt: list[int], caption: list[int], num_tokens: int
) -> dict[str, float]:
    """Seconds of each thing a user waits for; the tokens' number is fixed, so that systems are timed alike."""
    prompts = [prompt] * len(images)
    end, family.eos_id = family.eos_id, -1  # No token ends the text: every system generates the same number.
    try:
        first = seconds(lambda: family.generate(family.see(images), prompts, 1), images.device)
        whole = seconds(lambda: family.generate(family.see(images), prompts, num_tokens), images.device)
    finally:
        family.eos_id = end
    per_token = max(1e-9, whole - first) / (num_tokens - 1)
    return {
        "first_token_s": first,
        "per_token_s": per_token,
        "tokens_per_s": len(images) * num_tokens / whole,
        "caption_s": whole,
        "embed_image_s": seconds(lambda: family.embed_images(images), images.device),
        "embed_text_s": seconds(lambda: family.embed_texts([caption] * len(images)), images.device),
    }


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


def side_near(families: dict[str, Family], image_size: int, factor: float) -> int:
    """The side nearest to ``factor`` times the scale's that divides into patches, also as a thumbnail's."""
    step = max(family.encoder.patch_size * getattr(family, "thumbnail_factor", 1) for family in families.values())
    return max(step, round(image_size * factor / step) * step)
