"""Settings as plain trees: checked against the dataclasses key by key, joined, and turned into them."""

import copy
import dataclasses
import difflib
import functools
import math
from collections.abc import Iterator
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from mmbench.config.budget import parse_budget
from mmbench.config.errors import UserError
from mmbench.config.type_words import in_words

T = TypeVar("T")


def checked(tree: Any, kind: Any, path: str, where: str) -> Any:
    """A copy of a partial tree in which every key exists and every value has its type.

    Args:
        tree: what a file or an option gave.
        kind: the dataclass, or the type of a field, that it must fit.
        path: the dotted key of ``tree`` inside its file; empty at the top.
        where: names the file or the option in errors.

    Raises:
        UserError: an unknown key (the nearest valid one is named) or a value of another type.
    """
    if dataclasses.is_dataclass(kind):
        return _checked_section(tree, kind, path, where)
    item = _item_of(kind)
    if get_origin(kind) is list and dataclasses.is_dataclass(item) and isinstance(tree, list):
        return [checked(value, item, f"{path}.{index}", where) for index, value in enumerate(tree)]
    if get_origin(kind) is dict and dataclasses.is_dataclass(item) and isinstance(tree, dict):
        return {str(name): checked(value, item, f"{path}.{name}", where) for name, value in tree.items()}
    return _checked_leaf(tree, kind, path, where)


def merged(base: dict[str, Any], over: dict[str, Any], kind: Any) -> dict[str, Any]:
    """``base`` with what ``over`` gives: sections are joined key by key, all else (lists too) is replaced."""
    result = dict(base)
    for key, value in over.items():
        field = fields_of(kind)[key] if dataclasses.is_dataclass(kind) else _item_of(kind)
        is_section = dataclasses.is_dataclass(field) or dataclasses.is_dataclass(_item_of(field))
        if is_section and isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value, field)
        else:
            result[key] = value
    return result


def built(tree: dict[str, Any], kind: type[T]) -> T:
    """The dataclass of a checked tree; types are brought into line (a whole number for a float, a list for a tuple).

    Raises:
        UserError: a value does not fit after all.
    """
    import jsonargparse

    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=kind)
    try:
        parsed = parser.parse_object({"value": _without_free_form(tree, kind)})
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise UserError(f"settings do not fit: {' '.join(str(error).split())}") from None
    # Renamed in jsonargparse 4.49; both names are alive in the range that mmbench allows.
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    result: T = instantiate(parsed).value
    _restore_free_form(result, tree)
    return result


def fields_of(kind: Any) -> dict[str, Any]:
    """The types of a dataclass's fields by name."""
    types: dict[str, Any] = _fields_of(kind)
    return types


@functools.cache
def _fields_of(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {name: hints[name] for name in kind.__dataclass_fields__}


def unknown_key(path: str, kind: Any, where: str) -> UserError:
    """The error for a dotted key that ``kind``, which stands at the path without its last part, does not have."""
    prefix, _, last = path.rpartition(".")
    names = list(fields_of(kind))
    near = difflib.get_close_matches(last, names, n=1, cutoff=0.6)
    if near:
        hint = f"; did you mean '{prefix + '.' if prefix else ''}{near[0]}'?"
    else:
        # The right name in the wrong place is as common as a slip of the pen.
        below = [f"{prefix + '.' if prefix else ''}{key}" for key in _all_keys(kind) if key.split(".")[-1] == last]
        hint = f"; did you mean '{below[0]}'?" if below else f"; known there: {', '.join(names)}"
    return UserError(f"unknown key '{path}' in {where}{hint}")


def _checked_section(tree: Any, kind: Any, path: str, where: str) -> dict[str, Any]:
    if not isinstance(tree, dict):
        raise UserError(
            f"'{path}' in {where} is {tree!r}; it must be a section with the keys {', '.join(fields_of(kind))}"
        )
    result = {}
    for key, value in tree.items():
        full = f"{path}.{key}" if path else str(key)
        if key not in fields_of(kind):
            raise unknown_key(full, kind, where)
        field = fields_of(kind)[key]
        # A section whose lines are all commented out reads as null and changes nothing.
        if value is not None or not dataclasses.is_dataclass(field):
            result[key] = checked(value, field, full, where)
    return result


def _checked_leaf(value: Any, kind: Any, path: str, where: str) -> Any:
    if path == "budget" and isinstance(value, int | float) and not isinstance(value, bool):
        parse_budget(str(value))  # A bare number: this error says which units there are.
    if _is_free_form(kind):
        value = _with_text_keys(value)
    if not _fits(value, kind):
        raise UserError(f"'{path}' in {where} is {value!r}; it must be {in_words(kind)}")
    return copy.deepcopy(value)


def _fits(value: Any, kind: Any) -> bool:
    if not all(math.isfinite(number) for number in _floats(value)):
        return False
    if _is_free_form(kind):
        return isinstance(value, dict) and _has_text_keys(value)
    if kind is Any:
        return True
    if value is None:
        return type(None) in get_args(kind)
    import jsonargparse

    try:
        _leaf_parser(kind).parse_object({"value": value})
    except (jsonargparse.ArgumentError, TypeError, ValueError):
        return False
    return True


@functools.cache
def _leaf_parser(kind: Any) -> Any:
    import jsonargparse

    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=kind)
    return parser


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _floats(item)


def _has_text_keys(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _has_text_keys(item) for key, item in value.items())
    return not isinstance(value, list) or all(map(_has_text_keys, value))


def _with_text_keys(value: Any) -> Any:
    """Mappings whose keys are whole numbers, which text stands for as well: YAML reads ``{16: 4}`` so."""
    if isinstance(value, dict):
        return {str(key) if type(key) is int else key: _with_text_keys(item) for key, item in value.items()}
    return [_with_text_keys(item) for item in value] if isinstance(value, list) else value


def _item_of(kind: Any) -> Any:
    """The type of a list's items or of a dict's values; None for anything else."""
    return get_args(kind)[-1] if get_origin(kind) in (list, dict) else None


def _is_free_form(kind: Any) -> bool:
    """Whether a field holds another library's or a family's own options, which are passed on as they stand.

    jsonargparse must not see them: it would turn text such as '12' into numbers there and build any class
    that a ``class_path`` names.
    """
    return get_origin(kind) is dict and _item_of(kind) is Any


def _without_free_form(tree: Any, kind: Any) -> Any:
    if _is_free_form(kind):
        return {}
    if dataclasses.is_dataclass(kind) and isinstance(tree, dict):
        return {key: _without_free_form(value, fields_of(kind)[key]) for key, value in tree.items()}
    if isinstance(tree, list) and dataclasses.is_dataclass(_item_of(kind)):
        return [_without_free_form(value, _item_of(kind)) for value in tree]
    if isinstance(tree, dict) and dataclasses.is_dataclass(_item_of(kind)):
        return {name: _without_free_form(value, _item_of(kind)) for name, value in tree.items()}
    return tree


def _restore_free_form(instance: Any, tree: Any) -> None:
    if isinstance(instance, list):
        for item, value in zip(instance, tree, strict=True):
            _restore_free_form(item, value)
    elif isinstance(instance, dict):
        for name, item in instance.items():
            if name in tree:  # keys that were brought into line (whole numbers) are of plain values, not of sections
                _restore_free_form(item, tree[name])
    elif dataclasses.is_dataclass(instance):
        for name, kind in fields_of(type(instance)).items():
            if name not in tree:
                continue
            if _is_free_form(kind):
                setattr(instance, name, copy.deepcopy(tree[name]))
            else:
                _restore_free_form(getattr(instance, name), tree[name])


def _all_keys(kind: Any) -> Iterator[str]:
    for name, field in fields_of(kind).items():
        yield name
        if dataclasses.is_dataclass(field):
            yield from (f"{name}.{key}" for key in _all_keys(field))
