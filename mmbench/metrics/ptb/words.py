"""Word lists of the tokeniser: which words keep their period, and which next words take it from a single letter.

All were found by running the reference on words: of up to four letters, all of them.
"""

import json
from importlib.resources import files

_LISTS: dict[str, str] = json.loads(files(__package__).joinpath("words.json").read_text(encoding="utf-8"))

KEEPS_PERIOD_INSIDE_SENTENCE = tuple(_LISTS["keeps_period_inside_sentence"].split())
"""Abbreviations that keep their period, in any case, and rarely end a sentence ("Dr.", "st.")."""

KEEPS_PERIOD_ANYWHERE = tuple(_LISTS["keeps_period_anywhere"].split())
"""Abbreviations that keep their period, in any case, and often end a sentence ("etc.", "Inc.")."""

KEEPS_PERIOD_CAPITALISED = tuple(_LISTS["keeps_period_capitalised"].split())
"""Abbreviations that keep it only when written with a capital ("Wash." but not "wash.")."""

KEEPS_PERIOD_BEFORE_NUMBER = tuple(_LISTS["keeps_period_before_number"].split())
"""Abbreviations that keep it only before a number ("no. 5")."""

SENTENCE_STARTERS = tuple(_LISTS["sentence_starters"].split())
"""Words that, as written, show that the period before them ended a sentence and not an initial."""

FILE_ENDINGS = tuple(_LISTS["file_endings"].split())
"""What follows the period of a file's name, in any case."""
