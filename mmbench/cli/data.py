"""``mmbench data check``: what is in a folder or file of data, and what is broken there."""

import sys
from typing import Any

from jsonargparse import Namespace

from mmbench.cli.options import DATA_HELP
from mmbench.cli.parser import CommandParser


def add_parser(commands: Any) -> None:
    """Add the command, and its one subcommand, to those of ``mmbench``."""
    parser = CommandParser(description="Look at data.")
    commands.add_subcommand("data", parser, help="see what a folder of data holds and what is broken")
    actions = parser.add_subcommands(dest="action", required=True)
    check = CommandParser(
        description="Say what a folder or file of data holds: its format, how many of what, what is broken (missing "
        "or corrupt images, empty captions, duplicates, questions without answers), and a few examples. "
        "The exit code is 1 when something is broken."
    )
    check.add_argument("path", metavar="PATH", help=DATA_HELP)
    actions.add_subcommand("check", check, help="say what is there and what is broken")


def run(arguments: Namespace) -> int:
    """Check and print; 1 when something is broken."""
    from mmbench.config.load import load_data

    data = load_data(arguments.check.path)

    from mmbench.data.check import CUT, check_data, render

    found = check_data(data, progress=_show if sys.stderr.isatty() else None)
    print(render(found))
    # A long text that will be cut is worth knowing, but nothing is wrong with it.
    return 1 if found.unusable or set(found.problems) - {CUT} else 0


def _show(done: int, total: int) -> None:
    print(f"\r{done} of {total} images", end="\n" if done == total else "", file=sys.stderr, flush=True)
