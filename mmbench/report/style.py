"""How figures look, and which colour and mark each system has throughout a report."""

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmbench.harness.csv_file import visible, write_csv
from mmbench.report.fonts import drawing_families

TEXT_WIDTH = 6.5
"""Width of the page's text in inches."""
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#9A8700")
"""Okabe and Ito's palette, told apart by colour-blind readers too; its yellow is darkened for white paper."""
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LINES: tuple[Literal["-", "--", "-.", ":"], ...] = ("-", "--", "-.", ":")
_GREYS = ("#949494", "#707070", "#404040", "#A8A8A8")


@dataclass(frozen=True)
class Look:
    """One system's signs."""

    colour: str
    """Hex."""
    mark: str
    """matplotlib's marker."""
    line: Literal["-", "--", "-.", ":"]
    """matplotlib's line style."""


def looks(systems: list[str], baselines: list[str]) -> dict[str, Look]:
    """A fixed look for each system; baselines are grey."""
    found = {
        name: Look(_COLOURS[i % len(_COLOURS)], _MARKS[i % len(_MARKS)], _LINES[i // len(_COLOURS) % len(_LINES)])
        for i, name in enumerate(systems)
    }
    for i, name in enumerate(baselines):
        found[name] = Look(_GREYS[i % len(_GREYS)], "x", "--")
    return found


@contextmanager
def drawing(words: Iterable[str] = ()) -> Iterator[None]:
    """matplotlib set up for the page: serif figures, thin axes, no mathematics read into labels.

    ``words``: names from users that the figure shows; fonts of this machine that have their characters are added.
    """
    more = drawing_families("".join(sorted({char for name in words for char in name})))
    options: Any = {
        "font.family": ["STIXGeneral", "DejaVu Sans", *more],
        "font.size": 8.5,
        "axes.labelsize": 8.5,
        "axes.titlesize": 9,
        "axes.titleweight": "bold",
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8.5,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "grid.color": "#DDDDDD",
        "grid.linewidth": 0.5,
        "lines.linewidth": 1.3,
        "lines.markersize": 4.5,
        "axes.unicode_minus": True,
        "text.parse_math": False,
        "svg.fonttype": "path",
        "svg.hashsalt": "mmbench",
        "pdf.fonttype": 42,
    }
    # The object-oriented canvas below never opens a window, so the user's backend stays as it is.
    # What no font has, or has in one weight only, the report itself says; the terminal need not.
    log = logging.getLogger("matplotlib.font_manager")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with matplotlib.rc_context(options), warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
            yield
    finally:
        log.setLevel(level)


def save(figure: Figure, data: pd.DataFrame, folder: Path, name: str) -> Path:
    """Write ``NAME.svg``, ``NAME.pdf`` and the numbers as ``NAME.csv``; returns the SVG's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None})
    figure.set_layout_engine("none")  # it is laid out by now; the second file need not repeat that
    figure.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None})
    write_csv(data, folder / f"{name}.csv")
    return path


def shorten(name: str, limit: int = 26) -> str:
    """A name that fits beside an axis: its middle is left out where it is too long."""
    name = " ".join(visible(name).split())
    return name if len(name) <= limit else f"{name[: limit // 2]}…{name[-(limit // 2 - 1) :]}"


def short_names(names: list[str], limit: int = 26) -> dict[str, str]:
    """Shortened names that stay apart: where two would look the same, the place is shown where they differ."""
    short = {name: shorten(name, limit) for name in names}
    for name in names:
        alike = [other for other in names if other != name and shorten(other, limit) == shorten(name, limit)]
        if alike:
            pairs = zip(name, alike[0], strict=False)
            first = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(name), len(alike[0])))
            short[name] = f"{name[: limit // 3]}…{name[max(first - 4, 0) :][: limit - limit // 3 - 1]}"
    return short


def legend_above(figure: Figure, found: dict[str, Look], used: list[str], lines: bool = True) -> None:
    """One legend for all panels over the figure, which grows by the height of it."""
    handles = [
        Line2D(
            [], [], color=found[name].colour, marker=found[name].mark, linestyle=found[name].line if lines else "none"
        )
        for name in used
    ]
    names = list(short_names(used).values())
    longest = max(map(len, names), default=1)
    columns = max(1, min(len(used), int(TEXT_WIDTH / (0.45 + 0.066 * longest))))
    num_rows = -(-len(used) // columns)
    figure.legend(handles, names, loc="upper center", ncols=columns, columnspacing=1.4)
    taken = 0.17 * num_rows + 0.12
    height = figure.get_figheight() + taken
    figure.set_figheight(height)
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - taken / height))
