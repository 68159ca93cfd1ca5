"""Where a report's folder goes: nothing but an earlier report is ever replaced."""

from collections.abc import Sequence
from pathlib import Path

from mmbench.config.errors import UserError

_HELD = {"figures", "tables", "summary.json"}
"""All that the folder of a report holds."""


def check_place(place: Path, run_dirs: Sequence[Path]) -> None:
    """See to it that a report can be put at ``reports/NAME`` without the loss of anything else.

    Args:
        place: the folder to be made or replaced.
        run_dirs: the runs of the report, there already or not.

    Raises:
        UserError: it is one of the runs, or holds something else than an earlier report.
    """
    if any(place.resolve() == run.resolve() for run in run_dirs):
        raise UserError(
            f"the report would replace the run '{place}': keep reports in another folder than runs (--reports DIR), "
            "or give the report another name"
        )
    if place.is_symlink() or place.is_file():
        raise UserError(f"'{place}' is a file or a link; remove it, or give the report another folder or name")
    others = sorted(path.name for path in place.iterdir() if path.name not in _HELD) if place.is_dir() else []
    if others:
        raise UserError(
            f"the report would replace '{place}', which is no report: it holds '{others[0]}'; keep reports in a folder "
            "of their own (--reports DIR), or give the report another name"
        )
