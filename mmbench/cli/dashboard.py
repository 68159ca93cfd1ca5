"""``mmbench dashboard``: the runs in MLflow's own pages, in the browser."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from mmbench.cli.options import add_folder_options
from mmbench.cli.parser import CommandParser
from mmbench.config.errors import UserError


def add_parser(commands: Any) -> None:
    """Add the command to those of ``mmbench``."""
    parser = CommandParser(description="Serve the MLflow pages of the runs until Ctrl-C.")
    parser.add_argument("--port", type=int, default=5000, metavar="PORT", help="default: 5000")
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help="default: 127.0.0.1, this machine alone")
    add_folder_options(parser, reports=False)
    commands.add_subcommand("dashboard", parser, help="open the runs in MLflow")


def run(arguments: Namespace) -> int:
    """Serve until interrupted."""
    if not 1 <= arguments.port <= 65535:
        raise UserError(f"--port is {arguments.port}; it must be between 1 and 65535")

    from mmbench.harness.dashboard import serve_dashboard

    serve_dashboard(Path(arguments.runs).expanduser(), arguments.host, arguments.port)
    return 0
