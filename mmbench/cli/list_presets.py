"""``mmbench list``: the systems, data, scales and search spaces that can be named."""

import shutil
import textwrap
from typing import Any

from jsonargparse import Namespace

from mmbench.cli.parser import CommandParser
from mmbench.config.model import SystemSettings
from mmbench.config.presets import Kind, config_dir, describe, find_preset, preset_names
from mmbench.config.tree import checked
from mmbench.config.yaml_text import read_yaml


def add_parser(commands: Any) -> None:
    """Add the command to those of ``mmbench``."""
    parser = CommandParser(description="List what can be named on the command line.")
    parser.add_argument("kind", choices=["systems", "data", "scales", "spaces"], help="what to list")
    commands.add_subcommand("list", parser, help="list the systems, data, scales or search spaces that can be named")


def run(arguments: Namespace) -> int:
    """Print one line for each name."""
    kind: Kind = arguments.kind
    rows = [_row(kind, name) for name in preset_names(kind)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)] if rows else []
    for row in rows:
        head = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        width = max(shutil.get_terminal_size((100, 24)).columns, len(head) + 30)
        lines = textwrap.wrap(row[-1], width - len(head) - 2) or [""]
        print(f"{head}  {lines[0]}".rstrip())
        for line in lines[1:]:
            print(f"{'':{len(head)}}  {line}")
    print(f"\nThe files are in {config_dir() / kind}; the path of another YAML file can be given in place of a name.")
    return 0


def _row(kind: Kind, name: str) -> list[str]:
    path = find_preset(kind, name)
    if kind != "systems":
        return [name, describe(path)]
    system = checked(read_yaml(path), SystemSettings, "", str(path))
    return [name, system.get("family", SystemSettings.family), system.get("paper", "") or describe(path)]
