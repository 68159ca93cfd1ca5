"""``--set a.b.c=value``: one value of the settings, given on the command line."""

import dataclasses
from typing import Any, get_args, get_origin

from mmbench.config.errors import UserError
from mmbench.config.settings import Settings
from mmbench.config.tree import checked, fields_of, merged, unknown_key
from mmbench.config.yaml_text import parse_yaml


def apply_override(tree: dict[str, Any], text: str, where: str | None = None) -> None:
    """Set one value in a full tree of settings, in place.

    Systems are addressed by their name (``systems.unified.options.connector=linear``), items of a list by
    their number (``data.sources.0.path=photos``).

    Args:
        tree: a full tree of ``Settings``.
        text: ``KEY=VALUE``.
        where: names the origin in errors; ``--set TEXT`` if not given.

    Raises:
        UserError: the text has no ``=``, the key does not exist, or the value has another type.
    """
    key, equals, written = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise UserError(f"'{text}' after --set is not understood: write KEY=VALUE (systems stand before --set)")
    if key in ("scale", "systems"):
        raise UserError(
            f"'{key}' cannot be given by --set: name {'the scale by --scale' if key == 'scale' else 'SYSTEMs'}"
        )
    _set(tree, Settings, key.split("."), [], written, where or f"--set {text}")


def _set(node: Any, kind: Any, parts: list[str], done: list[str], written: str, where: str) -> None:
    """Walk down to the last part of the key; ``node`` is a section, a mapping or a list of the tree."""
    part, rest = parts[0], parts[1:]
    if dataclasses.is_dataclass(kind):
        if part not in fields_of(kind):
            raise unknown_key(".".join([*done, part]), kind, where)
        field = fields_of(kind)[part]
    elif get_origin(kind) is list:
        if not part.isdigit() or int(part) >= len(node):
            raise UserError(f"'{'.'.join(done)}' has {len(node)} items, numbered from 0; '{part}' in {where} is none")
        field = get_args(kind)[0]
    elif get_origin(kind) is dict or kind is Any:
        part, rest = _name_with_dots(node, parts)
        field = get_args(kind)[1] if kind is not Any else Any
        if dataclasses.is_dataclass(field) and part not in node:
            names = ", ".join(node)
            raise UserError(f"'{'.'.join(done)}' has no '{part}', asked for in {where}; there are: {names}")
    else:
        raise UserError(f"'{'.'.join(done)}' is one value and has no '{part}' in it, asked for in {where}")
    index: Any = int(part) if isinstance(node, list) else part
    path = [*done, part]
    if not rest:
        node[index] = _value(node[index] if isinstance(node, list) else node.get(part), field, path, written, where)
        return
    if (field is Any or get_origin(field) is dict) and not isinstance(node.get(part), dict):
        node[part] = {}
    if dataclasses.is_dataclass(field) and isinstance(node, dict):
        node.setdefault(part, {})  # an item of a list may leave whole sections out
    _set(node[index], field, rest, path, written, where)


def _value(old: Any, kind: Any, path: list[str], written: str, where: str) -> Any:
    """The written value, checked; a section that is given whole is joined with what stands there."""
    quoted = written[:1] in ("'", '"')
    value = written if kind is str and not quoted else parse_yaml(written, where)
    value = checked(value, kind, ".".join(path), where)
    return merged(old, value, kind) if dataclasses.is_dataclass(kind) and isinstance(old, dict) else value


def _name_with_dots(node: dict[str, Any], parts: list[str]) -> tuple[str, list[str]]:
    """The longest beginning of the parts that is a name here: a system may be called ``llava-1.5``."""
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in node:
            return name, parts[length:]
    return parts[0], parts[1:]
