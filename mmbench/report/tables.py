"""A table of the report and the three forms in which it is also left as a file: Markdown, LaTeX (booktabs), CSV."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from mmbench.harness.csv_file import visible, write_csv
from mmbench.report.escaping import escape_latex, escape_markdown


@dataclass(frozen=True)
class TableCell:
    """One cell."""

    text: str
    """What it says."""
    below: str = ""
    """A second, smaller line: the interval."""
    style: Literal["plain", "bold", "system", "muted", "flag", "code"] = "plain"
    """How it is drawn; ``flag`` marks a deviation."""


Row = list[TableCell]


@dataclass
class Table:
    """A table: the first ``num_left`` columns are words, the others numbers."""

    name: str
    """Of its files."""
    title: str
    """Its caption."""
    header: list[str]
    """Column headings; under a group they need not repeat its words."""
    rows: list[Row]
    """Cells."""
    num_left: int = 1
    """Columns that are aligned to the left."""
    rules: list[int] = field(default_factory=list)
    """Rows above which a thin rule stands."""
    data: pd.DataFrame | None = None
    """The unrounded numbers for the CSV; the cells' text if not given."""
    size: float = 8.5
    """Font size in points in the PDF."""
    widths: list[float] | None = None
    """Shares of the width that the columns of numbers take; equal if not given."""
    groups: list[tuple[str, int]] = field(default_factory=list)
    """Headings above the headings: the words, and how many columns stand under them; none if empty."""
    left_all: bool = False
    """Whether every column is words."""

    def aligned(self) -> list[str]:
        """``left`` or ``right``, column by column."""
        return ["left" if self.left_all or i < self.num_left else "right" for i in range(len(self.header))]

    def whole_header(self) -> list[str]:
        """One heading a column, that of its group in front."""
        above = [words for words, columns in self.groups for _ in range(columns)] or [""] * len(self.header)
        return [f"{group}, {own}" if group else own for group, own in zip(above, self.header, strict=True)]


def write_table(table: Table, folder: Path) -> None:
    """Write ``NAME.md``, ``NAME.tex`` and ``NAME.csv`` under ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{table.name}.md").write_text(markdown(table), encoding="utf-8")
    (folder / f"{table.name}.tex").write_text(latex(table), encoding="utf-8")
    if table.data is None:
        shown = [[visible(_one_line(cell)) for cell in row] for row in table.rows]
        data = pd.DataFrame(shown, columns=[visible(words) for words in table.whole_header()])
    else:
        data = table.data
    write_csv(data, folder / f"{table.name}.csv")


def markdown(table: Table) -> str:
    """A pipe table with its caption above."""
    lines = [
        f"**{escape_markdown(table.title)}**",
        "",
        _pipes([escape_markdown(text) for text in table.whole_header()]),
    ]
    lines.append(_pipes(["---" if side == "left" else "---:" for side in table.aligned()]))
    for row in table.rows:
        lines.append(_pipes([escape_markdown(_one_line(cell)) for cell in row]))
    return "\n".join(lines) + "\n"


def latex(table: Table) -> str:
    """A ``table`` environment; the document needs the package ``booktabs``."""
    columns = "".join(side[0] for side in table.aligned())
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escape_latex(table.title)}}}"]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    lines.append(" & ".join(escape_latex(text) for text in table.whole_header()) + r" \\")
    lines.append(r"\midrule")
    for number, row in enumerate(table.rows):
        if number in table.rules and number:
            lines.append(r"\midrule")
        cells = []
        for cell in row:
            words = escape_latex(_one_line(cell))
            cells.append(rf"\textbf{{{words}}}" if cell.style == "bold" else words)
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def _one_line(cell: TableCell) -> str:
    return f"{cell.text} {cell.below}" if cell.below else cell.text


def _pipes(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
