"""Which characters can be drawn: with the fonts of this machine and those that come with matplotlib and typst."""

import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

_SCRIPTS = {
    **dict.fromkeys(
        ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "IDEOGRAPHIC"), ("Chinese and Japanese", "Noto Sans CJK")
    ),
    "HANGUL": ("Korean", "Noto Sans CJK"),
    **{
        name.upper(): (name, f"Noto Sans {name}")
        for name in (
            *("Thai", "Devanagari", "Bengali", "Tamil", "Telugu", "Gujarati", "Gurmukhi", "Kannada", "Malayalam"),
            *("Sinhala", "Khmer", "Lao", "Myanmar", "Ethiopic", "Georgian", "Armenian", "Hebrew", "Arabic", "Tibetan"),
        )
    },
}
"""By the first word of a character's Unicode name: the script's name, and a font that has it."""
_OTHER = ("signs and emoji", "Noto Sans Symbols 2 and Noto Emoji")


def bundled_fonts() -> Path:
    """The folder of matplotlib's fonts: DejaVu Sans there has Latin, Greek, Cyrillic, Hebrew and Arabic."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def not_drawable(words: Iterable[str]) -> str:
    """Characters, each once and sorted, that no font at hand has."""
    wanted = {char for text in words for char in text if not _needs_no_glyph(char)}
    return "".join(sorted(wanted - _drawable(frozenset(wanted))))


def missing_note(characters: str) -> str:
    """A sentence that says what cannot be drawn and what to install; empty for no characters."""
    counts: dict[tuple[str, str], int] = {}
    for char in characters:
        script = _SCRIPTS.get(unicodedata.name(char, "?").replace("-", " ").split()[0], _OTHER)
        counts[script] = counts.get(script, 0) + 1
    parts = [
        f"{number} character{'s' * (number > 1)} of {script} cannot be drawn with this machine's fonts: install a font "
        f"that has them, for instance {font}"
        for (script, font), number in counts.items()
    ]
    if not parts:
        return ""
    return "; ".join(parts) + ". In this report each is a box; the files beside it hold the text whole."


@cache
def drawing_families(characters: str) -> tuple[str, ...]:
    """Families that figures name so that matplotlib finds every character that some font here has."""
    families = []
    for path in fonts_for(characters):
        font_manager.fontManager.addfont(path)
        families.append(FT2Font(str(path)).family_name)
    return tuple(families)


def fonts_for(characters: Iterable[str]) -> list[Path]:
    """Files of the machine's fonts that have the characters which matplotlib's own lack, as few as will do."""
    left = {char for char in characters if not _needs_no_glyph(char)} - _covered(_own_fonts(), frozenset(characters))
    chosen = []
    paths = [path for path in _font_files() if path not in _own_fonts()]
    while left:
        best = max(paths, key=lambda path: len(left & _coverage(path)), default=None)
        found = set() if best is None else left & _coverage(best)
        if best is None or not found:
            break
        chosen.append(best)
        left -= found
    return chosen


def is_right_to_left(words: str) -> bool:
    """Whether a text's first letter with a direction is of a script that is written from the right (UAX 9, P2)."""
    first = next((kind for char in words if (kind := unicodedata.bidirectional(char)) in ("L", "R", "AL")), "L")
    return first != "L"


def _needs_no_glyph(char: str) -> bool:
    """Spaces, joiners and variation selectors are drawn by being left out."""
    return char.isspace() or unicodedata.category(char) in ("Cf", "Zs", "Zl", "Zp") or 0xFE00 <= ord(char) <= 0xFE0F


def _drawable(wanted: frozenset[str]) -> set[str]:
    """Those of ``wanted`` that some font has; further fonts are read only while something is missing."""
    found = _covered(_own_fonts(), wanted)
    for path in _font_files():
        if found == wanted:
            break
        found |= wanted & _coverage(path)
    return found


def _covered(paths: tuple[Path, ...], wanted: frozenset[str]) -> set[str]:
    return {char for path in paths for char in wanted & _coverage(path)}


@cache
def _own_fonts() -> tuple[Path, ...]:
    return tuple(bundled_fonts() / name for name in ("DejaVuSans.ttf", "STIXGeneral.ttf"))


@cache
def _font_files() -> tuple[Path, ...]:
    """All that typst would find here; of a family one file, upright and of the usual weight where there is one."""
    import typst

    fonts = typst.Fonts(include_system_fonts=True, include_embedded_fonts=True).fonts()
    ordered = sorted(fonts, key=lambda font: (font.style != "normal", abs(font.weight - 400), str(font.path)))
    paths: dict[str, Path] = {}
    for font in ordered:
        if font.path:
            paths.setdefault(font.family, Path(font.path))
    return tuple(dict.fromkeys(paths.values()))


@cache
def _coverage(path: Path) -> frozenset[str]:
    try:
        return frozenset(map(chr, FT2Font(str(path)).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()  # a broken file among the machine's fonts has nothing to offer
