"""``mmbench report``: build the report of a run from its files."""

from typing import Any

from jsonargparse import Namespace

from mmbench.cli.options import add_folder_options, existing_run, writable_folder
from mmbench.cli.parser import CommandParser


def add_parser(commands: Any) -> None:
    """Add the command to those of ``mmbench``."""
    parser = CommandParser(description="Build reports/NAME.pdf and its tables again from the files of a run.")
    parser.add_argument("run", metavar="RUN", help="name of a run, or the path of its folder")
    add_folder_options(parser, reports=True)
    commands.add_subcommand("report", parser, help="build the report of a run from its files")


def run(arguments: Namespace) -> int:
    """Build the report and say where it lies."""
    root = existing_run(arguments.run, arguments.runs).resolve()
    reports_dir = writable_folder(arguments.reports)

    from mmbench.report.build import build_report

    print(f"Report: {build_report(root, reports_dir)}")
    return 0
