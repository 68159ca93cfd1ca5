"""The parser of all commands: jsonargparse with plain help and errors of one line."""

import argparse
import re
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from mmbench.config.errors import UserError

_PYTHON_TYPES = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false"}


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
        line = re.sub(r"<class '(\w+)'>", lambda found: _PYTHON_TYPES.get(found[1], found[1]), line)
        line = re.sub(r'^Parser key "(?:\w+\.)*(\w+)": Expected', r"--\1: expected", line).replace(
            ". Got value: ", ", got "
        )
        line = re.sub(r'^expected "(?:\w+\.)*(\w+)" to be one of .*', r"no \1 is given", line)
        line = re.sub(r"(arguments are required: )(?:\w+\.)+", r"\1", line)
        raise UserError(f"{line.rstrip('.')} (see '{self.prog.replace(' [options]', '')} --help')")
