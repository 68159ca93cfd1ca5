"""Options that several commands share, and what they mean for the settings."""

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from mmbench.cli.parser import CommandParser
from mmbench.config.errors import UserError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmbench.config.settings import Settings

SYSTEM_HELP = "a preset's name (see 'mmbench list systems'), the path of a YAML file, or NAME= and one of the two"
DATA_HELP = "a name (see 'mmbench list data'), a folder or file of data, or a YAML file of data settings"
SPACE_HELP = "a name (see 'mmbench list spaces') or a YAML file of a search space; default: default"


def add_settings_options(parser: CommandParser) -> None:
    """The options that decide the settings; none has a default here, so that one that was given is known."""
    parser.add_argument("--data", metavar="DATA", help=f"{DATA_HELP}; default: scenes, which needs no files")
    parser.add_argument(
        "--scale",
        metavar="SCALE",
        help="a name (see 'mmbench list scales') or a YAML file with any part of the settings, such as the "
        "comparison.yaml of an earlier run; default: tiny",
    )
    parser.add_argument(
        "--budget",
        metavar="AMOUNT",
        help="what each cell spends on training: 20000samples, 1e6tokens, 2epochs, 500steps, 3e14flops, 120s, 5min, "
        "1h; compare and plan take several, as in 1e13,3e13,1e14flops: a scaling study; default: the scale's",
    )
    parser.add_argument(
        "--match",
        choices=["none", "params", "trainable", "active"],
        help="make this count of parameters equal, by one width of each system; default: none",
    )
    parser.add_argument("--name", metavar="NAME", help="folder under runs/; default: the systems and a hash")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        nargs="+",
        metavar="KEY=VALUE",
        help="any setting by its dotted key, as in training.learning_rate=1e-3; may be repeated",
    )
    parser.add_argument(
        "--offline",
        action="store_true",
        help="never use the network: pretrained weights come from local paths or from what was fetched before",
    )


def add_jobs_option(parser: CommandParser, what: str) -> None:
    """How many of ``what`` run side by side."""
    parser.add_argument(
        "--jobs", type=int, metavar="N", help=f"{what} run at once; default: as many as the machine fits"
    )


def jobs_of(arguments: Namespace) -> int | None:
    """What ``--jobs`` asks for; None if nothing.

    Raises:
        UserError: less than 1.
    """
    jobs: int | None = arguments.jobs
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs is {jobs}; it must be at least 1")
    return jobs


def add_folder_options(parser: CommandParser, *, reports: bool) -> None:
    """Where runs, and reports if the command makes them, are kept."""
    parser.add_argument("--runs", default="runs", metavar="DIR", help="folder of the runs; default: runs")
    if reports:
        parser.add_argument("--reports", default="reports", metavar="DIR", help="folder of reports; default: reports")


def settings_of(
    arguments: Namespace, systems: list[str], seeds: int | None = None, more_overrides: tuple[str, ...] = ()
) -> "Settings":
    """The settings that the options of a command line ask for.

    Raises:
        UserError: what was asked for does not exist or cannot be run.
    """
    from mmbench.config.load import load_settings

    if arguments.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read by all that fetches weights, in the processes of the cells too
    given = [text for group in arguments.overrides or [] for text in group]
    return load_settings(
        systems,
        scale="tiny" if arguments.scale is None else arguments.scale,
        data=arguments.data,
        budget=arguments.budget,
        seeds=seeds,
        name=arguments.name,
        match=arguments.match,
        overrides=[*given, *more_overrides],
    )


def study_of(arguments: Namespace, settings_for: "Callable[[Namespace], Settings]") -> "list[Settings]":
    """The settings of one run, or of one run for each amount of ``--budget``: siblings called ``NAME-AMOUNT``.

    Without ``--name``, NAME does not depend on the amounts, so that a study goes on with what an earlier one, of fewer
    amounts, has left.

    Raises:
        UserError: as `settings_of`, or the amounts cannot stand beside one another.
    """
    from mmbench.config.budget import parse_budget, parse_budgets
    from mmbench.config.dump import default_name

    written = [] if arguments.budget is None else parse_budgets(arguments.budget)
    if len(written) < 2:
        return [settings_for(arguments)]
    runs = []
    for amount in written:
        one = arguments.clone()
        one.budget = amount
        settings = settings_for(one)
        runs.append(settings)
        if settings.budget != amount:
            raise UserError(f"--set budget={settings.budget} and several amounts of --budget are given; leave one out")
        if settings.name == default_name(settings):
            settings.name = default_name(replace(settings, budget=""))
        settings.name = f"{settings.name}-{parse_budget(amount)}"
    return runs


def space_override(space: str | None) -> str:
    """The search space of a name or a file, as an override of the settings.

    Raises:
        UserError: there is none, or it is malformed.
    """
    from mmbench.config.space import read_space

    return f"tuning.space={json.dumps(read_space(space or 'default'))}"


def study_name(settings: "Settings") -> str:
    """The name that the runs of a study have in common, from the settings of one of them."""
    from mmbench.config.budget import parse_budget

    return settings.name.removesuffix(f"-{parse_budget(settings.budget)}")


def writable_folder(text: str) -> Path:
    """A folder that exists, or is made, and that can be written to.

    Raises:
        UserError: it cannot; better now than after the training.
    """
    folder = Path(text).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError:
        raise UserError(f"'{folder}' is a file; a folder is needed there") from None
    except OSError as error:
        raise UserError(f"no write permission: '{folder}' cannot be written to ({error.strerror})") from None
    return folder


def existing_run(text: str, runs: str) -> Path:
    """The folder of a run that is given by its name or its path.

    Raises:
        UserError: there is none; the nearest name is given.
    """
    runs_dir = Path(runs).expanduser()
    for folder in (runs_dir / text, Path(text).expanduser()):
        if (folder / "comparison.yaml").is_file():
            return folder
    names = sorted(path.parent.name for path in runs_dir.glob("*/comparison.yaml"))
    if not names:
        raise UserError(f"there is no run '{text}': '{runs_dir}' holds no runs yet")
    raise unknown_name("run", text, names)
