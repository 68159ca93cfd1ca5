"""What runs in a process of its own, step by step: thin functions that import nothing heavy until they run.

The parent of a comparison names these; it never imports torch itself.
"""

from pathlib import Path

from mmbench.config.baselines import BASELINES
from mmbench.harness.run_files import RunFiles, TrialFiles


def prepare_data(root: Path, trial_budget: str) -> None:
    """Decode the images, make the tokenizer, check the systems."""
    from mmbench.harness import prepare

    prepare.prepare_data(root, trial_budget)


def probe(root: Path) -> None:
    """Decide kernel, precision and micro-batch."""
    from mmbench.harness.probe import probe as decide

    decide(root)


def parts_to_pretrain(root: Path) -> None:
    """Say which parts have to be pretrained."""
    from mmbench.harness import prepare

    prepare.parts_to_pretrain(root)


def pretrain_part(root: Path, part: str) -> None:
    """Make one part of the starting point."""
    from mmbench.harness import prepare

    prepare.pretrain_part(root, part)


def finish_starting_point(root: Path) -> None:
    """Note the starting point's cost, and the text-only loss before."""
    from mmbench.harness import prepare

    prepare.finish_starting_point(root)


def run_cell(root: Path, system: str, seed: int) -> None:
    """Train and score one cell."""
    from mmbench.harness.cell import run_cell as run

    run(root, system, seed)


def look(root: Path, seeds: list[int]) -> None:
    """Look at the pair that seeds are added for."""
    from mmbench.harness.looks import look as take

    take(root, seeds)


def count_costs(root: Path) -> None:
    """Count FLOPs and parameters of each system over rising resolution."""
    from mmbench.harness.costs import count_costs as count

    count(root)


def run_trial(root: Path, system: str, number: int) -> None:
    """Train and score one trial of a search."""
    from mmbench.harness.trial import run_trial as run

    run(root, system, number)


def collect(root: Path, order: list[tuple[str, int]]) -> None:
    """Join the tables, choose the examples."""
    from mmbench.harness.collect import collect as join

    join(root, order)


def measure_latency(root: Path, systems: list[tuple[str, int]]) -> None:
    """Time one checkpoint of each system."""
    from mmbench.harness.latency import measure_latency as measure

    measure(root, systems)


def mark_failed(files: RunFiles, system: str, seed: int, reason: str) -> None:
    """Note why a cell failed; it is tried again when the comparison is."""
    cell = files.cell(system, seed)
    kind = "baseline" if system in BASELINES else "system"
    cell.write({"system": system, "seed": seed, "kind": kind, **cell.read(), "status": "failed", "reason": reason})


def mark_trial_failed(files: TrialFiles, reason: str) -> None:
    """Note why a trial failed."""
    described = {"system": files.system, "seed": files.seed, "trial": files.number}
    files.write({**described, **files.read(), "status": "failed", "reason": reason})
