"""Which seeds are added while a pair is not decided, and the looks at it in words; imports nothing heavy."""

from collections.abc import Sequence
from typing import Any

from mmbench.harness.run_files import RunFiles


def seeds_of_looks(first: Sequence[int], max_seeds: int) -> list[int]:
    """All seeds there can be: those of the first look, then the next whole numbers; one more at each look."""
    following = range(max(first) + 1, max(first) + 1 + max_seeds - len(first))
    return [*first, *following]


def seeds_begun(run: RunFiles, first: Sequence[int], max_seeds: int) -> list[int]:
    """The seeds of the first look, and those that an interrupted process has added to them."""
    seeds = seeds_of_looks(first, max_seeds)
    begun = {cell.seed for cell in run.cells()}
    last = max((index for index, seed in enumerate(seeds) if seed in begun), default=0)
    return seeds[: max(len(first), last + 1)]


def in_words(found: dict[str, Any]) -> str:
    """The last look as one line for the terminal."""
    a, b = found["pair"]
    if found["reason"] is not None:
        return f"{a} against {b} cannot be decided: {found['reason']}"
    if not found["looks"]:
        return f"{a} against {b}: no seed that both have finished"
    last = found["looks"][-1]
    what = f"{a} against {b} on {found['metric']} with {last['seeds']} seeds"
    if last["p"] is None:
        return f"{what}: one image alone decides nothing"
    numbers = (
        f"difference {last['difference']:+.4g} [{last['ci_low']:+.4g}, {last['ci_high']:+.4g}], "
        f"p = {last['p']:.2g} at level {last['level']:.2g}"
    )
    return f"{what}: {numbers}: {'decided' if found['decided'] else 'not decided'}"
