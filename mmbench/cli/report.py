"""``mmbench report``: build the report of a run, or of several as one, from their files."""

from typing import Any

from jsonargparse import Namespace

from mmbench.cli.options import add_folder_options, existing_run, writable_folder
from mmbench.cli.parser import CommandParser


def add_parser(commands: Any) -> None:
    """Add the command to those of ``mmbench``."""
    parser = CommandParser(
        description="Build reports/NAME.pdf and its tables again from the files of a run. Several runs become one "
        "report where their settings allow it: different systems at one budget a table, the same systems at several "
        "budgets a scaling study."
    )
    parser.add_argument("run", metavar="RUN", nargs="+", help="name of a run, or the path of its folder")
    parser.add_argument("--name", metavar="NAME", help="of the report; default: the run's, or those of all joined by +")
    add_folder_options(parser, reports=True)
    commands.add_subcommand("report", parser, help="build the report of a run, or of several as one")


def run(arguments: Namespace) -> int:
    """Build the report and say where it lies."""
    roots = [existing_run(name, arguments.runs).resolve() for name in arguments.run]
    reports_dir = writable_folder(arguments.reports)

    from mmbench.report.build import build_report

    print(f"Report: {build_report(roots, reports_dir, arguments.name)}")
    return 0
