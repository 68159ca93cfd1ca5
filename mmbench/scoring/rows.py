"""Rows of JSON as columns: ids, texts, and what is wrong with them; errors name file, row or id."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mmbench.config.errors import UserError

Id = int | str
Row = dict[str, Any]

_NAMED = 5  # how many ids an error names


def rows_under(content: Any, key: str, path: Path) -> list[Row]:
    """The list under `key` in the object that a file holds.

    Raises:
        UserError: the file has another shape, or the list is empty.
    """
    if not isinstance(content, dict):
        raise UserError(f"'{path}' holds {json_type(content)}; an object with a list under '{key}' is needed")
    if key not in content:
        found = ", ".join(f"'{name}'" for name in list(content)[:_NAMED]) or "nothing"
        raise UserError(f"'{path}' has no '{key}': a list is needed there; the file has {found}")
    return _rows(content[key], f"'{key}' of '{path}'")


def rows_of(content: Any, path: Path) -> list[Row]:
    """The list that a file holds.

    Raises:
        UserError: the file has another shape, or the list is empty.
    """
    return _rows(content, f"'{path}'")


def column(rows: Sequence[Row], field: str, path: Path) -> list[Any]:
    """One field of all rows.

    Raises:
        UserError: a row is not an object, or lacks the field.
    """
    try:
        return [row[field] for row in rows]
    except (KeyError, TypeError):
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, dict):
                raise UserError(
                    f"row {number:,} of '{path}' is {json_type(row)}; an object with '{field}' is needed"
                ) from None
            if field not in row:
                raise UserError(f"row {number:,} of '{path}' has no '{field}'") from None
        raise


def ids(rows: Sequence[Row], field: str, path: Path) -> list[Id]:
    """The ids of all rows: whole numbers, or strings.

    Raises:
        UserError: as `column`; an id of another type, or of another type than the first.
    """
    values = column(rows, field, path)
    if set(map(type, values)) not in ({int}, {str}):
        for number, value in enumerate(values, start=1):
            if type(value) not in (int, str) or type(value) is not type(values[0]):
                raise UserError(
                    f"'{field}' of row {number:,} of '{path}' is {json_type(value)}; ids are whole numbers, or are "
                    f"strings, in all rows"
                )
    return values


def strings(rows: Sequence[Row], field: str, owners: Sequence[Id], owner: str, path: Path) -> list[str]:
    """A text field of all rows.

    Args:
        rows: objects.
        field: the field.
        owners: the id of each row, for the error.
        owner: what has that id, as in "image".
        path: the file, for the error.

    Raises:
        UserError: as `column`; a value that is not a string.
    """
    values = column(rows, field, path)
    if set(map(type, values)) != {str}:
        place = next(place for place, value in enumerate(values) if not isinstance(value, str))
        raise UserError(
            f"'{field}' of {owner} {owners[place]!r} in '{path}' is {json_type(values[place])}, not a string"
        )
    return values


def one_each(owners: Sequence[Id], values: Sequence[Any], owner: str, path: Path) -> tuple[dict[Id, Any], int]:
    """The value of each id, and how many rows repeat an earlier one (as a padded sampler leaves them).

    Raises:
        UserError: two different values for one id.
    """
    by_id = dict(zip(owners, values, strict=True))
    if len(by_id) < len(owners):
        for example, value in zip(owners, values, strict=True):
            if by_id[example] != value:
                raise UserError(
                    f"{owner} {example!r} has more than one row in '{path}', and they differ: "
                    f"{shortened(value)} and {shortened(by_id[example])}; give one row for each {owner}"
                )
    return by_id, len(owners) - len(by_id)


def only_one_each(owners: Sequence[Id], owner: str, path: Path) -> None:
    """Check that no id stands twice.

    Raises:
        UserError: one does; it is named.
    """
    if len(set(owners)) < len(owners):
        example, times = Counter(owners).most_common(1)[0]
        raise UserError(f"{owner} {example!r} stands {times} times in '{path}'; it may stand there once")


def named(examples: Iterable[Id]) -> str:
    """The first ids, for an error: ascending, then "…" where there are more."""
    ordered = sorted(examples, key=lambda example: (isinstance(example, str), example))
    return ", ".join(map(repr, ordered[:_NAMED])) + (", …" if len(ordered) > _NAMED else "")


def other_type(some: Iterable[Id], others: Iterable[Id]) -> str:
    """What to add to an error about unknown ids where the ids of one file are numbers, and strings in the other."""
    kinds = [type(next(iter(examples))) for examples in (some, others)]
    if kinds[0] is kinds[1]:
        return ""
    words = {int: "whole numbers", str: "strings"}
    return f"; its ids are {words[kinds[0]]}, the others {words[kinds[1]]}"


def json_type(value: Any) -> str:
    """A JSON value's type, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the string {shortened(value)}"
    return "a list" if isinstance(value, list) else "an object"


def shortened(value: Any) -> str:
    """A value as an error shows it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…{text[-1]}"


def _rows(content: Any, what: str) -> list[Row]:
    if not isinstance(content, list):
        raise UserError(f"{what} is {json_type(content)}; a list of objects is needed")
    if not content:
        raise UserError(f"no samples: {what} is an empty list")
    return content
