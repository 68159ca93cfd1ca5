"""``mmbench evaluate``: score a trained cell again, or on other data."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from mmbench.cli.options import DATA_HELP
from mmbench.cli.parser import CommandParser
from mmbench.config.errors import UserError


def add_parser(commands: Any) -> None:
    """Add the command to those of ``mmbench``."""
    parser = CommandParser(description="Score a trained cell again, on its own test split or on other data.")
    parser.add_argument("cell", metavar="CELL", help="folder of the cell, as in runs/NAME/cells/SYSTEM/seed0")
    parser.add_argument("--data", metavar="DATA", help=f"{DATA_HELP}; default: the data of the run")
    commands.add_subcommand("evaluate", parser, help="score a trained cell again, or on other data")


def run(arguments: Namespace) -> int:
    """Score the cell and print its scores."""
    cell = Path(arguments.cell).expanduser()
    if not (cell / "cell.json").is_file():
        raise UserError(f"'{cell}' is not a trained cell: give a folder such as runs/NAME/cells/SYSTEM/seed0")

    from mmbench.cli.results import print_scores
    from mmbench.config.load import load_data

    data = None if arguments.data is None else load_data(arguments.data)

    from mmbench.harness.evaluate import evaluate_again

    print_scores(evaluate_again(cell, data))
    return 0
