"""Text from data sets and users, made harmless: what is unseen is written out, and no format reads it as markup."""

import re
from typing import Any

from mmbench.harness.csv_file import visible
from mmbench.report import numbers


def all_visible(value: Any) -> Any:
    """The same for all strings of nested lists and dictionaries."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {all_visible(key): all_visible(each) for key, each in value.items()}
    return [all_visible(each) for each in value] if isinstance(value, list | tuple) else value


def encodable(value: Any) -> Any:
    """The same with halves of surrogate pairs alone, which JSON allows and no table can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {encodable(key): encodable(each) for key, each in value.items()}
    return [encodable(each) for each in value] if isinstance(value, list) else value


def escape_markdown(words: str) -> str:
    """Characters that Markdown or HTML would read as markup or as an address, written so that they are shown."""
    one_line = " ".join(visible(words).split())
    escaped = re.sub(r"([\\`*_{}\[\]#|~$])", r"\\\1", one_line)
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if _ADDRESS.search(escaped):
        escaped = escaped.replace("://", "\\://").replace("www.", "www\\.").replace("@", "&#64;")
    return escaped


def escape_latex(words: str) -> str:
    """Characters that LaTeX would read as commands, written so that they are shown."""
    return "".join(_LATEX.get(character, character) for character in " ".join(visible(words).split()))


_ADDRESS = re.compile(r"://|www\.|\w@\w")
_LATEX = {
    **{character: "\\" + character for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{
        numbers.MINUS: r"$-$",
        numbers.DASH: "--",
        numbers.TIMES: r"$\times$",
        "→": r"$\rightarrow$",
        "…": r"\ldots{}",
        "≤": r"$\le$",
    },
    **{
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "▲": r"$\blacktriangle$",
        "†": r"\dag{}",
        "ᵇ": r"\textsuperscript{b}",
    },
    **{"[": "{[}", "]": "{]}"},
    **{raised: rf"\textsuperscript{{{plain}}}" for raised, plain in zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789", strict=True)},
}
