"""Checks of sizes and variants that more than one model's configuration needs."""

from collections.abc import Iterable
from typing import Any

from mmbench.config.errors import UserError, unknown_name


def check_whole(config: Any, what: str, least: int, *names: str) -> None:
    """Refuse a size that is no whole number, or below ``least``; None stands for what is not given.

    Args:
        config: holds the sizes.
        what: it is of, for the error.
        least: the smallest that each may be.
        names: of the sizes.

    Raises:
        UserError: for the first of them.
    """
    for name in names:
        value = getattr(config, name)
        if value is not None and (type(value) is not int or value < least):
            raise UserError(f"{what}'s {name} is {value!r}; it must be a whole number of at least {least}")


def check_choice(config: Any, what: str, allowed: Iterable[str], name: str) -> None:
    """Refuse a variant that there is not; None stands for what is not given.

    Raises:
        UserError: with those that there are.
    """
    value = getattr(config, name)
    if value is not None and value not in (known := list(allowed)):
        raise unknown_name(f"{name} of {what}", str(value), known)
