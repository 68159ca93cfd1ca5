"""Running text as a list of spans, so that names from users stay data and are never read as markup."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Span:
    """A piece of text in one style."""

    text: str
    """Any characters."""
    style: Literal["plain", "bold", "system", "code"] = "plain"
    """``system``: a system's name, drawn in its colour."""


Text = list[Span]


def system(name: str) -> Span:
    """A system's name."""
    return Span(name, "system")


def bold(text: str) -> Span:
    """Emphasised text."""
    return Span(text, "bold")


def text(*parts: str | Span | Text) -> Text:
    """Join strings, spans and texts."""
    spans: Text = []
    for part in parts:
        if isinstance(part, str):
            spans.append(Span(part))
        elif isinstance(part, Span):
            spans.append(part)
        else:
            spans.extend(part)
    return [span for span in spans if span.text]


def join_systems(names: list[str]) -> Text:
    """``a``, ``a and b``, ``a, b and c`` as system names."""
    spans: Text = []
    for number, name in enumerate(names):
        if number:
            spans.append(Span(" and " if number == len(names) - 1 else ", "))
        spans.append(system(name))
    return spans


def plain(spans: Text) -> str:
    """The characters alone."""
    return "".join(span.text for span in spans)
