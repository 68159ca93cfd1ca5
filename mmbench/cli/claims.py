"""``mmbench claims``: run claims of the literature as experiments, and say which the runs support."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from mmbench.cli.options import add_folder_options, add_jobs_option, jobs_of, writable_folder
from mmbench.cli.parser import CommandParser

if TYPE_CHECKING:
    from mmbench.claims.claim import Claim


def add_parser(commands: Any) -> None:
    """Add the command to those of ``mmbench``."""
    parser = CommandParser(
        description="Run claims about architectures as experiments, each by its own systems, budget and rules, "
        "and write reports/claims.md: supported, refuted or undecided, with the numbers. The same command again "
        "continues where it was stopped."
    )
    parser.add_argument(
        "claims", nargs="*", metavar="CLAIM", help="a number, a name or the path of a YAML file; default: all that ship"
    )
    parser.add_argument("--list", action="store_true", help="list the claims and what some wait for; run nothing")
    add_jobs_option(parser, "cells")
    parser.add_argument("--scale", metavar="SCALE", help="in the place of the claims' own")
    parser.add_argument("--budget", metavar="AMOUNT", help="in the place of the claims' own")
    parser.add_argument("--seeds", type=int, metavar="N", help="in the place of the claims' own")
    add_folder_options(parser, reports=True)
    commands.add_subcommand("claims", parser, help="run claims of the literature as experiments and judge them")


def run(arguments: Namespace) -> int:
    """Run the claims that can be, write and print the table."""
    jobs = jobs_of(arguments)
    from mmbench.claims.library import Asked, find_claims

    claims = find_claims(arguments.claims)
    if arguments.list:
        _list(claims)
        return 0
    runs_dir = writable_folder(arguments.runs)
    reports_dir = writable_folder(arguments.reports)

    from mmbench.claims.run import run_claims
    from mmbench.claims.table import claim_entry, write_claims

    asked = Asked(arguments.scale, arguments.budget, arguments.seeds)
    try:
        judged, arms = run_claims(claims, asked, runs_dir, jobs=jobs, command=arguments.command_line, say=print)
    except KeyboardInterrupt:
        print(f"\nmmbench: interrupted; continue with: {arguments.command_line}", file=sys.stderr)
        return 130
    entries = [claim_entry(claim, judged[path], arms.get(path, {})) for path, claim in claims.items()]
    written = write_claims(entries, reports_dir)
    _print(entries)
    print(f"Table: {written}")
    return 0


def _print(entries: list[dict[str, Any]]) -> None:
    """One table of the verdicts, then each rule with its numbers."""
    from rich.markup import escape

    from mmbench.claims.table import row
    from mmbench.cli.terminal import result_console, result_table

    table = result_table(["claim", "title", "verdict", "budget", "seeds"])
    table.columns[1].justify = "left"
    console = result_console()
    for entry in entries:
        number, title, verdict, _, budget, seeds = (escape(cell) for cell in row(entry))
        table.add_row(number, title, verdict, budget, seeds, style="dim" if verdict == "not yet" else "")
    console.print(table)
    for entry in entries:
        for words in [rule["words"] for rule in entry["rules"]] or [entry["reason"]]:
            console.print(f"{entry['number']}  {words}", markup=False, highlight=False, soft_wrap=True)


def _list(claims: Mapping[Path, "Claim"]) -> None:
    """A line a claim, by the groups that the files lie in."""
    for path, claim in claims.items():
        state = f"not yet: needs {'; '.join(claim.needs)}" if claim.needs else ", ".join(claim.systems)
        print(f"{claim.number:3d}  {path.parent.name:12s}  {claim.title}  ({state})")
