"""``mmbench sweep``: search for the values of a system's settings that do best on the validation split."""

import json
import sys
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from mmbench.cli.options import (
    SPACE_HELP,
    SYSTEM_HELP,
    add_folder_options,
    add_jobs_option,
    add_settings_options,
    jobs_of,
    settings_of,
    space_override,
    writable_folder,
)
from mmbench.cli.parser import CommandParser
from mmbench.config.errors import UserError

if TYPE_CHECKING:
    from mmbench.config.settings import Settings
    from mmbench.harness.run_files import RunFiles

_DEFAULT_TRIALS = 20


def add_parser(commands: Any) -> None:
    """Add the command to those of ``mmbench``."""
    parser = CommandParser(
        description="Search for settings: train a system again and again by other values, each time with the budget, "
        "score it on the validation split, and keep every trial. The same command again continues where it was "
        "stopped; with more --trials it adds to them."
    )
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=SYSTEM_HELP)
    add_settings_options(parser)
    parser.add_argument("--space", metavar="SPACE", help=SPACE_HELP)
    parser.add_argument("--trials", type=int, metavar="N", help=f"of each system, in all; default: {_DEFAULT_TRIALS}")
    parser.add_argument("--sampler", choices=["tpe", "cmaes", "nsga2", "random"], help="proposes values; default: tpe")
    parser.add_argument(
        "--pruner", choices=["none", "median", "hyperband"], help="ends trials that fall behind; default: median"
    )
    parser.add_argument("--metric", metavar="METRIC", help="what is searched for; default: validation_loss")
    parser.add_argument(
        "--cost", choices=["none", "latency", "flops", "parameters"], help="a second thing, to be small; default: none"
    )
    parser.add_argument("--storage", metavar="URL", help="an Optuna storage that several machines may share")
    parser.add_argument("--seed", type=int, metavar="K", help="training seed of every trial; default: 1000")
    add_jobs_option(parser, "trials")
    add_folder_options(parser, reports=False)
    commands.add_subcommand("sweep", parser, help="search for the settings that suit a system")


def run(arguments: Namespace) -> int:
    """Run the sweep, print what it found."""
    jobs = jobs_of(arguments)
    settings = _asked(arguments)
    runs_dir = writable_folder(arguments.runs)

    from mmbench.harness.run_files import RunFiles
    from mmbench.harness.sweep import run_sweep

    try:
        files = run_sweep(
            settings,
            runs_dir,
            jobs=jobs,
            command=arguments.command_line,
            storage=arguments.storage or "",
        )
    except KeyboardInterrupt:
        files = RunFiles(runs_dir / settings.name)
        if files.sweep.exists():
            _print(files)
        print(f"\nmmbench: interrupted; continue with: {arguments.command_line}", file=sys.stderr)
        return 130
    _print(files)
    found = json.loads(files.sweep.read_text(encoding="utf-8"))["systems"]
    if all(one["value"] is None for one in found.values()):
        raise UserError("; ".join(f"{name}: {one['note']}" for name, one in found.items()))
    return 0


def _asked(arguments: Namespace) -> "Settings":
    given = {
        "trials": _DEFAULT_TRIALS if arguments.trials is None else arguments.trials,
        "sampler": arguments.sampler,
        "pruner": "none" if arguments.pruner is None and arguments.cost not in (None, "none") else arguments.pruner,
        "metric": arguments.metric,
        "cost": arguments.cost,
        "training_seed": arguments.seed,
    }
    if given["trials"] < 1:
        raise UserError(f"--trials is {given['trials']}; each system needs at least 1")
    overrides = [f"tuning.{key}={value}" for key, value in given.items() if value is not None]
    settings = settings_of(
        arguments, arguments.systems, None, (*overrides, "baselines=[]", space_override(arguments.space))
    )
    if arguments.name is None:
        settings.name = _default_name(settings)
    return settings


def _default_name(settings: "Settings") -> str:
    """Does not depend on the number of trials, so that more of them go on in the same run."""
    from dataclasses import replace

    from mmbench.config.dump import default_name

    return f"sweep-{default_name(replace(settings, tuning=replace(settings.tuning, trials=0)))}"


def _print(files: "RunFiles") -> None:
    """The best values of each system and what became of its trials; where cost counts, the front."""
    from mmbench.cli.terminal import result_console, result_table

    found = json.loads(files.sweep.read_text(encoding="utf-8"))
    console = result_console()
    console.print(f"{files.name}: {found['budget']} a trial", style="bold", markup=False, highlight=False)
    keys = sorted({_short(key, name) for name, one in found["systems"].items() for key in one["best"]})
    costs = [] if found["cost"] == "none" else [found["cost"]]
    table = result_table(["system", "trial", found["metric"], *costs, *keys])
    for name, one in found["systems"].items():
        trials = {trial["number"]: trial for trial in one["trials"]}
        for number in one["front"]:
            trial = trials[number]
            values = {_short(key, name): value for key, value in trial["params"].items()}
            shown = [_number(trial[key]) for key in ("value", "cost")][: 1 + len(costs)]
            table.add_row(name, str(number), *shown, *(_number(values.get(key)) for key in keys))
    console.print(table)
    for name, one in found["systems"].items():
        counts = ", ".join(f"{count} {state}" for state, count in one["states"].items() if count)
        console.print(f"{name}: {counts or 'no trial has ended'}", markup=False, highlight=False)
        for trial in one["trials"]:
            if trial["state"] == "failed":
                console.print(
                    f"Failed: {name}, trial {trial['number']}: {trial['reason']}", markup=False, soft_wrap=True
                )
    print(f"Trials: {files.trials_table}")


def _short(key: str, system: str) -> str:
    return key.replace(f"systems.{system}.", "system.")


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)
