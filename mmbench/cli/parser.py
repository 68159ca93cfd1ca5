"""The parser of all commands: jsonargparse with plain help and errors of one line."""

import argparse
import re
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from mmbench.config.errors import UserError

# jsonargparse speaks of its parsers' keys; the wording has changed between the versions that mmbench allows.
_IN_PLAIN_WORDS = (
    (r"<class 'int'>", "whole number"),
    (r'^Parser key "(?:\w+\.)*(\w+)"(?: element \d+)?: Expected (.*)\. Got value: (.*)', r"--\1: expected \2, got \3"),
    (r'^expected "(?:\w+\.)*(\w+)" to be one of .*', r"no \1 is given"),
    (r"^the following arguments are required: (?:\w+\.)*(\w+)", r"\1 is missing"),
    (r'^Validation failed: Key "(?:\w+\.)*(\w+)" is required.*', r"\1 is missing"),
    (r"^Unrecognized", "unrecognized"),
)


class CommandParser(ArgumentParser):
    """A parser that raises ``UserError`` where argparse would print its usage and exit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The plain formatter: defaults that matter are in the help texts, types and "null" only disturb there.
        # Options must be written out, so that a later option cannot change what an abbreviation means.
        super().__init__(*args, formatter_class=argparse.HelpFormatter, allow_abbrev=False, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what is wrong with the command line, on one line.

        Raises:
            UserError: always.
        """
        line = " ".join(message.split())
        for pattern, words in _IN_PLAIN_WORDS:
            line = re.sub(pattern, words, line)
        raise UserError(f"{line.rstrip('.')} (see '{self.prog.replace(' [options]', '')} --help')")
