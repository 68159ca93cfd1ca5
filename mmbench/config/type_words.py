"""Python types in words, for messages to people who write YAML."""

import types
from typing import Any, Literal, Union, get_args, get_origin

_ONE = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts", bool: "true or false"}


def in_words(kind: Any) -> str:
    """What a value of this type is called: ``list[int]`` is "a list of whole numbers"."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(arg) for arg in args)
    if origin is tuple:
        return f"a list of {len(args)} {_MANY.get(args[0], 'values')}"
    if origin is list:
        return f"a list of {_MANY.get(args[0]) or 'items, each ' + in_words(args[0])}"
    if origin is dict:
        return "a mapping of keys to " + _MANY.get(args[1], "values")
    return _ONE.get(kind, getattr(kind, "__name__", str(kind)))
