"""``mmbench compare``: train, score and time several systems under one budget, and write the report."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from mmbench.cli.options import (
    SPACE_HELP,
    SYSTEM_HELP,
    add_folder_options,
    add_jobs_option,
    add_settings_options,
    existing_run,
    jobs_of,
    settings_of,
    space_override,
    study_name,
    study_of,
    writable_folder,
)
from mmbench.cli.parser import CommandParser
from mmbench.config.errors import UserError

if TYPE_CHECKING:
    from mmbench.config.settings import Settings

_NOT_WITH_RESUME = (
    "systems",
    "data",
    "scale",
    "budget",
    "match",
    "seeds",
    "until_decided",
    "max_seeds",
    "decide_on",
    "tune",
    "space",
    "name",
    "overrides",
    "latency",
    "no_latency",
)


def add_parser(commands: Any) -> None:
    """Add the command to those of ``mmbench``."""
    parser = CommandParser(
        description="Compare systems: train each with every seed under the same budget on the same data, score and "
        "time them, and write reports/NAME.pdf. The same command again continues where it was stopped."
    )
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=SYSTEM_HELP)
    add_settings_options(parser)
    parser.add_argument("--seeds", type=int, metavar="N", help="train each system N times, with seeds 0 to N-1")
    parser.add_argument(
        "--until-decided",
        nargs=2,
        metavar=("A", "B"),
        help="add seeds, one at a time, until it is decided which of the two is better; looking often is paid for",
    )
    parser.add_argument("--max-seeds", type=int, metavar="M", help="with --until-decided: stop there; default: 10")
    parser.add_argument(
        "--decide-on",
        metavar="METRIC",
        help="with --until-decided: the metric; default: vqa_accuracy, or what stands for it where there is none",
    )
    parser.add_argument(
        "--tune",
        type=int,
        metavar="N",
        help="first search for each system's own values, N trials each by the same rules, on the validation split",
    )
    parser.add_argument("--space", metavar="SPACE", help=f"with --tune: {SPACE_HELP}")
    parser.add_argument("--resume", metavar="NAME", help="continue this run with the settings it was started with")
    add_jobs_option(parser, "cells")
    parser.add_argument("--latency", choices=["basic", "full"], help="how much is timed at the end; default: basic")
    parser.add_argument("--no-latency", action="store_true", help="time nothing at the end")
    parser.add_argument("--no-report", action="store_true", help="leave the report out")
    add_folder_options(parser, reports=True)
    commands.add_subcommand("compare", parser, help="compare systems under one budget and write the report")


def run(arguments: Namespace) -> int:
    """Run the comparison, build its report, print the results."""
    jobs = jobs_of(arguments)
    runs = [_resumed(arguments)] if arguments.resume is not None else study_of(arguments, _asked)
    runs_dir = writable_folder(arguments.runs)
    reports_dir = None if arguments.no_report else writable_folder(arguments.reports)
    if reports_dir is not None:
        from mmbench.report.place import check_place

        name = runs[0].name if len(runs) == 1 else study_name(runs[0])
        check_place(reports_dir / name, [runs_dir / settings.name for settings in runs])

    from mmbench.harness.compare import run_comparison

    roots: list[Path] = []
    for settings in runs:
        try:
            files = run_comparison(
                settings,
                runs_dir,
                jobs=jobs,
                command=arguments.command_line,
                resume=arguments.resume is not None,
            )
            print(f"Run: {files.root}")
            roots.append(files.root)
            if reports_dir is not None and len(runs) == 1:
                _report(files.root, reports_dir)
        except KeyboardInterrupt:
            again = arguments.command_line if len(runs) > 1 else continuing(settings.name, arguments)
            print(f"\nmmbench: interrupted; continue with: {again}", file=sys.stderr)
            return 130
    if reports_dir is not None and len(runs) > 1:
        _report_of_study(roots, study_name(runs[0]), reports_dir)
    return 0


def continuing(name: str, arguments: Namespace) -> str:
    """The shell command that continues a run."""
    words = ["mmbench", "compare", "--resume", name]
    for option in ("runs", "reports"):
        if arguments[option] != option:
            words += [f"--{option}", arguments[option]]
    if arguments.no_report:
        words.append("--no-report")
    return shlex.join(words)


def _asked(arguments: Namespace) -> "Settings":
    """The settings of a comparison that is named by its systems and options."""
    latency: tuple[str, ...] = ()
    if arguments.no_latency:
        if arguments.latency is not None:
            raise UserError("--latency and --no-latency are given; leave one out")
        latency = ("latency.repeats=0",)
    elif arguments.latency is not None:
        latency = (f"latency.full={'true' if arguments.latency == 'full' else 'false'}",)
    more = (*latency, *_deciding(arguments), *_tuning(arguments))
    return settings_of(arguments, arguments.systems, arguments.seeds, more)


def _deciding(arguments: Namespace) -> list[str]:
    """The settings of ``--until-decided``, as overrides."""
    given = {"max_seeds": arguments.max_seeds, "metric": arguments.decide_on}
    if arguments.until_decided is None:
        if any(value is not None for value in given.values()):
            raise UserError("--max-seeds and --decide-on say how --until-decided A B goes: name two systems by it")
        return []
    pair = [f"deciding.pair={json.dumps(arguments.until_decided)}"]
    return pair + [f"deciding.{key}={value}" for key, value in given.items() if value is not None]


def _tuning(arguments: Namespace) -> list[str]:
    """The settings of ``--tune``, as overrides."""
    if arguments.tune is None:
        if arguments.space is not None:
            raise UserError("--space says what --tune N searches: give N by it")
        return []
    if arguments.tune < 1:
        raise UserError(f"--tune is {arguments.tune}; each system needs at least 1 trial")
    return [f"tuning.trials={arguments.tune}", space_override(arguments.space)]


def _resumed(arguments: Namespace) -> "Settings":
    """The settings of a run that was started before."""
    for option in _NOT_WITH_RESUME:
        if arguments[option]:
            shown = {"systems": "SYSTEM", "overrides": "--set"}.get(option, f"--{option.replace('_', '-')}")
            raise UserError(f"--resume takes all settings from the run '{arguments.resume}': leave {shown} out")
    from mmbench.config.load import load_settings_file

    folder = existing_run(arguments.resume, arguments.runs)
    if folder.resolve().parent != Path(arguments.runs).expanduser().resolve():
        raise UserError(f"'{arguments.resume}' does not lie in '{arguments.runs}': say where by --runs {folder.parent}")
    settings = load_settings_file(folder / "comparison.yaml")
    settings.name = folder.resolve().name
    return settings


def _report(root: Path, reports_dir: Path) -> None:
    from mmbench.cli.results import print_results
    from mmbench.report.build import build_report

    pdf = build_report(root, reports_dir)
    print_results(root / "summary.json")
    print(f"Report: {pdf}")


def _report_of_study(roots: list[Path], name: str, reports_dir: Path) -> None:
    from mmbench.report.build import build_report

    print(f"Report: {build_report(roots, reports_dir, name=name)}")
