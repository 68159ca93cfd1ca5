"""Classes by a short name of mmbench's, or by the import path of one from outside."""

import importlib
from collections.abc import Mapping
from typing import TypeVar

from mmbench.config.errors import UserError, unknown_name

T = TypeVar("T")


def class_called(name: str, known: Mapping[str, str], kind: type[T], what: str, stands_at: str) -> type[T]:
    """The class of a name.

    Args:
        name: a key of ``known``, or an import path ``package.module:Class``.
        known: short name -> import path; a module is imported when it is asked for.
        kind: what the class must be a subclass of.
        what: names the kind of thing in errors.
        stands_at: the dotted name by which a reader finds ``kind``.

    Raises:
        UserError: nothing has that name, or nothing of that kind stands at the import path.
    """
    if ":" not in name and name not in known:
        raise unknown_name(what, name, known)
    module_name, _, class_name = known.get(name, name).partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{what} '{name}' cannot be imported: {error}; write package.module:Class") from error
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise UserError(f"{what} '{name}' is no subclass of {stands_at}")
    return found
