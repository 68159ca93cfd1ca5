"""How fast a scale's systems train and generate here: against a bare loop, and against the machine's matmul rate.

All of it is measured in turn, round by round, in one process, so that a drift of the machine hits all alike; what
counts are the ratios. Run it as ``python benchmarks/throughput.py --scale tiny --rounds 5``.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from mmbench.config.budget import Budget
from mmbench.config.load import load_settings
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.prompts import CAPTION_PROMPT
from mmbench.families.family import Family
from mmbench.harness.flops import count_step_flops
from mmbench.harness.precision import device_of, inference
from mmbench.harness.run_files import CellFiles
from mmbench.harness.starting_point import assemble, untrained
from mmbench.harness.timing import seconds, wait
from mmbench.harness.training import train
from mmbench.nn.attention import set_attention_kernel

MATMUL_SIDE = {"cpu": 1024, "cuda": 8192}
"""Side of the square matrices whose product is the machine's bare rate."""
GENERATED = 32
"""Tokens of one generation."""


@dataclass
class Figures:
    """One system's measurements, in seconds, one a round."""

    harness_s: list[float]
    """A training step under Lightning and the harness: waiting for data and logging included."""
    bare_s: list[float]
    """The same step in a loop of a few lines."""
    cached_s: list[float]
    """Generation of a batch of captions with the key-value cache."""
    uncached_s: list[float]
    """The same without."""


def main() -> None:
    """Measure, print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("systems", nargs="*", default=["unified", "crossattn", "hybrid"])
    parser.add_argument("--scale", default="tiny")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30, help="training steps of one round")
    parser.add_argument("--batch", type=int, default=32, help="captions generated at once")
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--attention", default="plain")
    parser.add_argument("--set", dest="overrides", nargs="*", default=[])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = load_settings(arguments.systems, scale=arguments.scale, overrides=arguments.overrides)
    settings.trainer = replace(settings.trainer, precision=arguments.precision, attention=arguments.attention)
    device = device_of(settings.trainer)
    if device.type == "cpu":
        torch.set_num_threads(settings.trainer.threads or 1)
    set_attention_kernel(arguments.attention)
    with tempfile.TemporaryDirectory() as folder:
        datamodule = MultimodalDataModule(settings, Path(folder), seed=0)
        datamodule.prepare_data()
        datamodule.setup()
        families = _families(settings, datamodule, Path(folder))
        figures = {name: Figures([], [], [], []) for name in families}

        def files_of(name: str, number: int) -> Path:
            return Path(folder) / name / f"seed{number}"

        matmul: list[float] = []
        for number in range(-1, arguments.rounds):
            rate = _matmul_rate(device, settings)
            for name, family in families.items():
                measured = (
                    _harness_step(family, datamodule, settings, files_of(name, number + 1), arguments.steps),
                    _bare_step(family, datamodule, settings, arguments.steps),
                    _generation(family, datamodule, settings, arguments.batch, cached=True),
                    _generation(family, datamodule, settings, arguments.batch, cached=False),
                )
                if number >= 0:  # The first round warms up.
                    for values, value in zip(vars(figures[name]).values(), measured, strict=True):
                        values.append(value)
            if number >= 0:
                matmul.append(rate)
        flops = {name: _flops(family, datamodule, device) for name, family in families.items()}
    samples = datamodule.train_batch(0, 0, datamodule.batch_rows).totals.samples
    print(_table(figures, flops, matmul, samples, arguments.batch, device))
    if arguments.json:
        content = {"figures": {k: asdict(v) for k, v in figures.items()}, "matmul_flops_per_s": matmul, "flops": flops}
        arguments.json.write_text(json.dumps(content, indent=1))


def _families(settings: Settings, datamodule: MultimodalDataModule, folder: Path) -> dict[str, Family]:
    random = untrained(settings)
    return {name: assemble(system, random, datamodule, folder) for name, system in settings.systems.items()}


def _harness_step(
    family: Family, datamodule: MultimodalDataModule, settings: Settings, folder: Path, steps: int
) -> float:
    """Seconds of a step as a cell runs it: the whole training but its validation, checkpoints and start."""
    files = CellFiles(folder)
    files.checkpoint.parent.mkdir(parents=True)
    recipe = replace(settings.training, checkpoint_share=2.0, validation_share=2.0)
    system = next(iter(settings.systems.values()))
    meter, _ = train(
        family,
        datamodule.with_mode("multimodal"),
        files,
        budget=Budget(steps, "steps"),
        stages=[replace(system.stages[-1], share=1.0, train=["all"], learning_rate_factor={})],
        recipe=recipe,
        trainer_settings=settings.trainer,
        seed=0,
    )
    return (meter.device_s + meter.waiting_s) / meter.steps


def _bare_step(family: Family, datamodule: MultimodalDataModule, settings: Settings, steps: int) -> float:
    """Seconds of a step in a bare loop over the same batches."""
    device = device_of(settings.trainer)
    family.to(device).train()
    optimizer = family.configure_optimizers()
    mixed = settings.trainer.precision == "bf16-mixed"
    began_s = 0.0
    for step in range(steps + 1):
        if step == 1:
            wait(device)
            began_s = time.perf_counter()
        batch = datamodule.train_batch(step, 0, datamodule.batch_rows).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            loss = family.total(family.loss(batch), batch.totals)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(family.parameters(), settings.training.gradient_clip)
        optimizer.step()
    wait(device)
    return (time.perf_counter() - began_s) / steps


def _generation(
    family: Family, datamodule: MultimodalDataModule, settings: Settings, batch: int, cached: bool
) -> float:
    """Seconds of ``GENERATED`` tokens for each of a batch of images, which are seen once."""
    device = device_of(settings.trainer)
    family.to(device).eval()
    images = datamodule.split("test").images(list(range(batch))).to(device)
    prompts = [datamodule.tokenizer.encode(CAPTION_PROMPT)] * batch
    end, family.eos_id = family.eos_id, -1
    try:
        with inference(settings.trainer, device):
            return seconds(lambda: family.generate(family.see(images), prompts, GENERATED, cached), device)
    finally:
        family.eos_id = end


def _flops(family: Family, datamodule: MultimodalDataModule, device: torch.device) -> float:
    family.to(device).freeze_all_but(["all"])
    return count_step_flops(family, datamodule.train_batch(0, 0, datamodule.batch_rows).to(device))


def _matmul_rate(device: torch.device, settings: Settings) -> float:
    """Operations a second of one large product in the precision that trains."""
    side = MATMUL_SIDE.get(device.type, 2048)
    dtype = torch.bfloat16 if "bf16" in settings.trainer.precision else torch.float32
    one = torch.randn(side, side, device=device, dtype=dtype)
    repeats = 5
    one @ one
    took_s = seconds(lambda: [one @ one for _ in range(repeats)], device)
    return 2 * side**3 * repeats / took_s


def _table(
    figures: dict[str, Figures],
    flops: dict[str, float],
    matmul: list[float],
    samples: int,
    batch: int,
    device: torch.device,
) -> str:
    """Markdown: medians, and medians of the rounds' ratios."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}, 1 thread"
    lines = [
        f"Device: {name}. Bare matmul: {statistics.median(matmul) / 1e9:.0f} GFLOP/s. Medians of {len(matmul)} rounds.",
        "",
        f"| system | samples/s | harness / bare loop, time of a step | share of the matmul rate | uncached / cached, "
        f"{GENERATED} tokens, batch {batch} |",
        "|---|---|---|---|---|",
    ]
    for system, of in figures.items():
        overhead = statistics.median(h / b for h, b in zip(of.harness_s, of.bare_s, strict=True))
        share = statistics.median(flops[system] / s / rate for s, rate in zip(of.harness_s, matmul, strict=True))
        cache = statistics.median(u / c for u, c in zip(of.uncached_s, of.cached_s, strict=True))
        rate = samples / statistics.median(of.harness_s)
        lines.append(f"| {system} | {rate:.0f} | {overhead:.2f} | {share:.2f} | {cache:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
