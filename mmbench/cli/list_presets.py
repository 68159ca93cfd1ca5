"""``mmbench list``: the systems, data, scales and search spaces that can be named."""

import itertools
import shutil
import textwrap
from typing import Any

from jsonargparse import Namespace

from mmbench.cli.parser import CommandParser
from mmbench.cli.system_table import system_table
from mmbench.config.presets import Kind, config_dir, describe, find_preset, preset_names


def add_parser(commands: Any) -> None:
    """Add the command to those of ``mmbench``."""
    parser = CommandParser(description="List what can be named on the command line.")
    parser.add_argument("kind", choices=["systems", "data", "scales", "spaces"], help="what to list")
    commands.add_subcommand("list", parser, help="list the systems, data, scales or search spaces that can be named")


def run(arguments: Namespace) -> int:
    """Print a row for each name; of systems also what they are."""
    kind: Kind = arguments.kind
    if kind == "systems":
        rows, notes = system_table()
        _print_rows(rows)
        print("", *notes, sep="\n")
    else:
        _print_rows([[name, describe(find_preset(kind, name))] for name in preset_names(kind)])
    print(f"\nThe files are in {config_dir() / kind}; the path of another YAML file can be given in place of a name.")
    return 0


def _print_rows(rows: list[list[str]]) -> None:
    """Columns beside one another, long cells in lines; the last column stands below the others for lack of room."""
    columns = shutil.get_terminal_size((120, 24)).columns
    heads = [[_lines(cell, _WIDEST) for cell in row[:-1]] for row in rows]
    widths = [max(len(line) for cell in column for line in cell) for column in zip(*heads, strict=True)]
    beside = columns - sum(widths) - _GAP * len(widths)
    for head, row in zip(heads, rows, strict=True):
        if beside < _NARROWEST:
            _print_lines(head, widths)
            _print_lines([[""], _lines(row[-1], columns - 2 * _GAP)], [_GAP, 0])
        else:
            _print_lines([*head, _lines(row[-1], beside)], [*widths, 0])


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False) or [""]


def _print_lines(cells: list[list[str]], widths: list[int]) -> None:
    for parts in itertools.zip_longest(*cells, fillvalue=""):
        print((" " * _GAP).join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip())


_GAP = 2
"""Columns of space between two columns of text."""
_WIDEST = 24
"""What a column but the last is broken at."""
_NARROWEST = 30
"""The room that the last column needs."""
