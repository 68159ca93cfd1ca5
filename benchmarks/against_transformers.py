"""How fast `unified` and `crossattn` train and generate, against Hugging Face's `llava` and `mllama` of equal shapes.

All run in one process, in turn, round by round; each side is taken at its own best setting of attention and precision,
found anew for each measurement, and a figure is the median of the rounds' ratios. Run it as
``python benchmarks/against_transformers.py --shape T --rounds 7``. It needs the package ``transformers``.
"""

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from equal_models import PAIRS, SHAPES, Model, Way

from mmbench.harness.timing import wait

GENERATED = 32
"""Tokens of one generation; no end token stops it."""
DROPPED = 1.3
"""A setting that took so many times as long as its side's best in the first round is not tried in the others."""


@dataclass
class Side:
    """One side of one measurement."""

    name: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Setting -> seconds, one a round."""

    @property
    def best(self) -> str:
        """The setting with the least median, of those that were tried to the end."""
        rounds = max(map(len, self.seconds.values()))
        whole = {way: values for way, values in self.seconds.items() if len(values) == rounds}
        return min(whole, key=lambda way: statistics.median(whole[way]))

    def losers(self) -> list[str]:
        """The settings that are not worth another round."""
        first = {way: values[0] for way, values in self.seconds.items()}
        return [way for way, value in first.items() if value > DROPPED * min(first.values())]


@dataclass
class Measurement:
    """What is timed, and both sides' times."""

    pair: str
    work: str
    sides: tuple[Side, Side]

    @property
    def ratios(self) -> list[float]:
        """Theirs over ours, round by round."""
        ours, theirs = (side.seconds[side.best] for side in self.sides)
        return [b / a for a, b in zip(ours, theirs, strict=True)]


def main() -> None:
    """Measure, print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="T")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 32], help="images that are captioned at once")
    parser.add_argument("--pairs", nargs="*", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="threads on a CPU")
    parser.add_argument(
        "--clock", choices=["wall", "processor"], default="wall", help="processor: for a machine that others use, too"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.set_num_threads(arguments.threads)
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    measurements, memory = [], {}
    for pair in arguments.pairs:
        torch.manual_seed(0)
        models = [build(SHAPES[arguments.shape], device) for build in PAIRS[pair]]
        works = [
            ("training step", True, 0),
            *((f"generation, batch {size}", False, size) for size in arguments.batches),
        ]
        for work, trains, size in works:
            print(f"{pair}: {work}", flush=True)
            measured = _measure(pair, work, models, trains, size, arguments.rounds, device, clock)
            measurements.append(measured)
            if trains:
                memory[pair] = [
                    model.bytes_for_backward(_way(side.best))
                    for model, side in zip(models, measured.sides, strict=True)
                ]
        del models
        gc.collect()
    print(_table(measurements, memory, arguments, device))
    if arguments.json:
        content = {
            "measurements": [asdict(one) | {"ratios": one.ratios} for one in measurements],
            "bytes_for_backward": memory,
            "settings": {name: str(value) for name, value in vars(arguments).items()},
        }
        arguments.json.write_text(json.dumps(content, indent=1))


def _measure(
    pair: str,
    work: str,
    models: list[Model],
    trains: bool,
    batch: int,
    rounds: int,
    device: torch.device,
    clock: Callable[[], float],
) -> Measurement:
    """Both sides in turn, setting by setting; what is far from its side's best is left out after the first round."""

    def job(model: Model, way: Way) -> Callable[[], Any]:
        return (lambda: model.step(way)) if trains else model.generation(way, batch, GENERATED)

    jobs = [{str(way): job(model, way) for way in model.ways(trains)} for model in models]
    result = Measurement(pair, work, (Side(type(models[0]).__name__), Side(type(models[1]).__name__)))
    for number in range(-1, rounds):
        for turn in range(max(map(len, jobs))):
            for side, own in zip(result.sides, jobs, strict=True):
                if turn >= len(own):
                    continue
                way = list(own)[turn]
                wait(device)
                began_s = clock()
                own[way]()
                wait(device)
                if number >= 0:  # The first round warms up.
                    side.seconds.setdefault(way, []).append(clock() - began_s)
        if number == 0:
            for side, own in zip(result.sides, jobs, strict=True):
                for way in side.losers():
                    del own[way]
    return result


def _way(text: str) -> Way:
    attention, precision = text.split(" ")
    return Way(attention, precision)


def _table(
    measurements: list[Measurement], memory: dict[str, list[int]], arguments: argparse.Namespace, device: torch.device
) -> str:
    """Markdown: medians of the rounds' ratios, and their spread."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {arguments.threads} thread(s)"
    how = f"{arguments.clock} clock, {arguments.rounds} rounds"
    lines = [
        f"Shape {arguments.shape}, {name}, {how}. Ratio: theirs over ours.",
        "",
        "| ours / theirs | what | ratio | least to most | ours, s | at | theirs, s | at |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in measurements:
        ratios = one.ratios
        sides = " | ".join(f"{statistics.median(side.seconds[side.best]):.4f} | {side.best}" for side in one.sides)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        lines.append(f"| {one.pair} | {one.work} | {statistics.median(ratios):.2f} | {spread} | {sides} |")
    for pair, (ours, theirs) in memory.items():
        kept = f"{ours / 1e6:.0f} and {theirs / 1e6:.0f} MB"
        lines.append(f"\n{pair}: kept for the backward pass {kept}, {theirs / ours:.2f} times.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
