"""``mmbench data check``: what is in a folder or file of data, and what is broken there."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from mmbench.cli.parser import CommandParser
from mmbench.config.errors import UserError


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
    check.add_argument("path", metavar="PATH", help="the folder or file")
    actions.add_subcommand("check", check, help="say what is there and what is broken")


def run(arguments: Namespace) -> int:
    """Check and print; 1 when something is broken."""
    path = Path(arguments.check.path).expanduser()
    if not path.exists():
        raise UserError(f"there is no data at '{path}'")

    from mmbench.data.check import check_data

    result = check_data(path)
    print(result)
    return 1 if result.is_broken else 0
