"""``mmbench plan``: what a comparison would train, spend and need, without training it."""

from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from mmbench.cli.options import (
    SYSTEM_HELP,
    add_folder_options,
    add_settings_options,
    settings_of,
    study_of,
    writable_folder,
)
from mmbench.cli.parser import CommandParser

if TYPE_CHECKING:
    from mmbench.config.settings import Settings


def add_parser(commands: Any) -> None:
    """Add the command to those of ``mmbench``."""
    parser = CommandParser(
        description="Say what 'mmbench compare' with the same systems, --data, --scale, --budget, --match, --seeds and "
        "--set would do, without training: parameters, what trains and what is frozen, FLOPs a step, steps under the "
        "budget, memory and time, and what is matched. What stands before and after the cells (--tune, "
        "--until-decided, latency) is not planned."
    )
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=SYSTEM_HELP)
    add_settings_options(parser)
    parser.add_argument("--seeds", type=int, metavar="N", help="as in compare: so many cells a system")
    parser.add_argument("--no-probe", action="store_true", help="time no step on this machine")
    add_folder_options(parser, reports=False)
    commands.add_subcommand("plan", parser, help="say what a comparison would train and cost, without training")


def run(arguments: Namespace) -> int:
    """Print the plan."""
    runs = study_of(arguments, _asked)
    runs_dir = writable_folder(arguments.runs)

    from mmbench.cli.plan_tables import print_plan
    from mmbench.harness.plan import make_plan

    print_plan(make_plan(runs, runs_dir, probe=not arguments.no_probe), runs[0])
    return 0


def _asked(arguments: Namespace) -> "Settings":
    return settings_of(arguments, arguments.systems, arguments.seeds)
