"""``mmbench train``: one cell, that is one system with one seed."""

from typing import Any

from jsonargparse import Namespace

from mmbench.cli.options import SYSTEM_HELP, add_folder_options, add_settings_options, settings_of, writable_folder
from mmbench.cli.parser import CommandParser
from mmbench.config.errors import UserError


def add_parser(commands: Any) -> None:
    """Add the command to those of ``mmbench``."""
    parser = CommandParser(description="Train and score one system with one seed, without baselines or report.")
    parser.add_argument("system", metavar="SYSTEM", help=SYSTEM_HELP)
    add_settings_options(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="K", help="the training seed; default: 0")
    add_folder_options(parser, reports=False)
    commands.add_subcommand("train", parser, help="train and score one system with one seed")


def run(arguments: Namespace) -> int:
    """Run the cell and say where it lies."""
    if arguments.seed < 0:
        raise UserError(f"--seed is {arguments.seed}; it must be 0 or more")
    settings = settings_of(arguments, [arguments.system], more_overrides=(f"seeds=[{arguments.seed}]",))
    runs_dir = writable_folder(arguments.runs)

    from mmbench.harness.compare import run_one

    run_one(settings, runs_dir, arguments.seed)
    (system,) = settings.systems
    print(f"Cell: {runs_dir / settings.name / 'cells' / system / f'seed{arguments.seed}'}")
    return 0
