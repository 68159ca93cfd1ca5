"""The command ``mmbench``: builds the parser, runs one command, and turns a user's mistake into one line.

Nothing heavy is imported before a command runs, so that ``--help`` and ``list`` answer at once.
"""

import errno
import os
import shlex
import sys
from types import ModuleType

from jsonargparse import Namespace

import mmbench
from mmbench.cli import (
    claims,
    compare,
    dashboard,
    data,
    evaluate,
    export_checkpoint,
    import_checkpoint,
    list_presets,
    plan,
    report,
    score,
    sweep,
    train,
)
from mmbench.cli.parser import CommandParser
from mmbench.config.errors import UserError

_COMMANDS: dict[str, ModuleType] = {
    "compare": compare,
    "plan": plan,
    "claims": claims,
    "sweep": sweep,
    "train": train,
    "evaluate": evaluate,
    "score": score,
    "report": report,
    "import": import_checkpoint,
    "export": export_checkpoint,
    "dashboard": dashboard,
    "data": data,
    "list": list_presets,
}
# What goes wrong with a disk rather than with mmbench.
_OF_THE_DISK = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR, errno.EISDIR)


def build_parser() -> CommandParser:
    """The parser of all commands."""
    parser = CommandParser(
        prog="mmbench",
        description="Compare multimodal architectures under matched budgets: train each with several seeds, "
        "score them, and say in a report which did better, by how much, and how sure that is.",
        version=mmbench.__version__,
    )
    commands = parser.add_subcommands(dest="command", required=True, title="commands", description=None)
    for module in _COMMANDS.values():
        module.add_parser(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments after the command's name; those of the process if not given.

    Returns:
        The exit code: 0; 1 where a check found something; 2 for a user's mistake; 130 after Ctrl-C.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        chosen = build_parser().parse_args(argv)
        arguments: Namespace = chosen[chosen.command]
        arguments.command_line = shlex.join(["mmbench", *argv])
        code: int = _COMMANDS[chosen.command].run(arguments)
        sys.stdout.flush()
    except UserError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        print("\nmmbench: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has gone (as in `mmbench list systems | head`): the rest is for nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        return _complain(describe_os_error(error))
    return code


def describe_os_error(error: OSError) -> str:
    """What the system refused and where, for people."""
    what = "no write permission" if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) else error.strerror
    return f"{what}: {error.filename}" if error.filename else str(what)


def _complain(message: str) -> int:
    print(f"mmbench: error: {' '.join(message.split())}", file=sys.stderr)
    return 2
