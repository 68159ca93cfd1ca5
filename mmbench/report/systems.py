"""The systems of a summary, by kind."""

from typing import Any

Summary = dict[str, Any]

MANY = 4
"""More systems than this are counted in sentences, not named."""


def names_of(summary: Summary, kind: str) -> list[str]:
    """The systems of one kind (``system`` or ``baseline``), in the tables' order."""
    return [name for name, content in summary["systems"].items() if content["kind"] == kind]
