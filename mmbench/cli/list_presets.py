"""``mmbench list``: the systems, data, scales and search spaces that can be named."""

import itertools
import shutil
import textwrap
from typing import Any

from jsonargparse import Namespace

from mmbench.cli.parser import CommandParser
from mmbench.cli.system_table import HEADER, notes, system_rows
from mmbench.config.presets import Kind, config_dir, describe, find_preset, preset_names


def add_parser(commands: Any) -> None:
    """Add the command to those of ``mmbench``."""
    parser = CommandParser(description="List what can be named on the command line.")
    parser.add_argument("kind", choices=["systems", "data", "scales", "spaces"], help="what to list")
    commands.add_subcommand("list", parser, help="list the systems, data, scales or search spaces that can be named")


def run(arguments: Namespace) -> int:
    """Print one line for each name; of systems also what they are."""
    kind: Kind = arguments.kind
    if kind == "systems":
        _print_rows([list(HEADER), *system_rows()], wrapped=2)
        print("", *notes(), sep="\n")
    else:
        _print_rows([[name, describe(find_preset(kind, name))] for name in preset_names(kind)], wrapped=1)
    print(f"\nThe files are in {config_dir() / kind}; the path of another YAML file can be given in place of a name.")
    return 0


def _print_rows(rows: list[list[str]], wrapped: int) -> None:
    """Columns beside one another; the last ``wrapped`` of them are broken into lines that share what width is left."""
    fixed = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - wrapped)] if rows else []
    taken = sum(fixed) + 2 * len(fixed)
    free = max(shutil.get_terminal_size((120, 24)).columns - taken, 30 * wrapped) - 2 * (wrapped - 1)
    # What a system can do is a short list; what it stands for is a sentence.
    widths = [free] if wrapped == 1 else [free * 2 // 5, free - free * 2 // 5]
    for row in rows:
        lines = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row[len(fixed) :], widths, strict=True)]
        for number, parts in enumerate(itertools.zip_longest(*lines, fillvalue="")):
            heads = row[: len(fixed)] if number == 0 else [""] * len(fixed)
            cells = [cell.ljust(width) for cell, width in zip([*heads, *parts], [*fixed, *widths], strict=True)]
            print("  ".join(cells).rstrip())
