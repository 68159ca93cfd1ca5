"""Options that would do nothing are refused: who gives one believes that it does something."""

from dataclasses import MISSING, fields
from typing import Any

from mmbench.config.errors import UserError


def refuse_unused(options: Any, names: tuple[str, ...], why: str, wanted: str) -> None:
    """Refuse the named options where they differ from their defaults.

    Args:
        options: a dataclass of options.
        names: of those that have no effect.
        why: what is not there.
        wanted: the option that would give them an effect.

    Raises:
        UserError: for the first that was given.
    """
    for field in fields(options):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        value = getattr(options, field.name)
        if field.name in names and value != default:
            raise UserError(f"option '{field.name}' is {value!r}, but {why}: leave the option out, or give {wanted}")
