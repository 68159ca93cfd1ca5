"""Refusing options that would do nothing, since who gives one believes that it does something, or that cannot be."""

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


def check_token_ids(options: Any, names: tuple[str, ...], num_ids: int) -> None:
    """Refuse ids that the language model has no embedding for, in the named options.

    Raises:
        UserError: for the first of them.
    """
    for name in names:
        outside = [token for token in getattr(options, name) if not 0 <= token < num_ids]
        if outside:
            raise UserError(f"option '{name}' has {outside[0]}, but token ids go from 0 to {num_ids - 1}")
