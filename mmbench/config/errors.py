"""The one exception that means "the user can mend this"; the command line prints it as one line."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what was asked for: says what was given, what is allowed and what to do.

    The command line prints the message on one line and exits with code 2, without a traceback.
    """


def unknown_name(kind: str, given: str, allowed: Iterable[str]) -> UserError:
    """The error for a name that does not exist; it names the nearest one that does, and all of them."""
    names = sorted(allowed)
    nearest = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else "."
    return UserError(f"unknown {kind} '{given}'{hint} Known: {', '.join(names)}")
