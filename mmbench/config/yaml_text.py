"""YAML as mmbench reads and writes it: numbers such as 1e-3 are numbers, dates are text, a key stands once."""

import re
from pathlib import Path
from typing import Any

import yaml

from mmbench.config.errors import UserError

# YAML 1.1, which PyYAML follows, wants a dot in every float and a sign in every exponent: there, 1e-3 is text.
_FLOAT = re.compile(
    r"^[-+]?(?:(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$|^\.nan$"
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping a YAML file holds; an empty file holds an empty one.

    Raises:
        UserError: the file cannot be read, is malformed (its line is named), or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no file '{path}'") from None
    except IsADirectoryError:
        raise UserError(f"'{path}' is a folder; the path of a YAML file is needed") from None
    except UnicodeDecodeError:
        raise UserError(f"'{path}' is not a YAML file: it is not text in UTF-8") from None
    except PermissionError:
        raise UserError(f"no permission to read '{path}'") from None
    value = parse_yaml(text, str(path))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UserError(f"'{path}' must hold settings as 'key: value' lines, but holds a {type(value).__name__}")
    return value


def parse_yaml(text: str, where: str) -> Any:
    """The value a YAML text stands for; ``where`` names its origin in errors.

    Raises:
        UserError: the text is malformed.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"malformed YAML in {where}{line}: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"malformed YAML in {where}: {' '.join(str(error).split())}") from None


def to_yaml(value: Any) -> str:
    """The YAML text that ``parse_yaml`` reads back to the same value; keys keep their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' stands twice", key.start_mark
                )
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _without_dates_and_with_floats(base: type[Any]) -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """The resolvers of plain scalars by their first character, in the order in which they are tried."""
    dropped = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float")
    resolvers = {
        first: [entry for entry in entries if entry[0] not in dropped]
        for first, entries in base.yaml_implicit_resolvers.items()
    }
    for first in "-+0123456789.":
        resolvers.setdefault(first, []).append(("tag:yaml.org,2002:float", _FLOAT))
    return resolvers


# The dumper asks the same resolvers which texts need quotes, so that what is written is read back alike.
_Loader.yaml_implicit_resolvers = _without_dates_and_with_floats(yaml.SafeLoader)
_Dumper.yaml_implicit_resolvers = _without_dates_and_with_floats(yaml.SafeDumper)
