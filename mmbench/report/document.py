"""The report's content in order, as plain data: blocks that the typst template sets and never reads as markup."""

import shutil
from pathlib import Path
from typing import Any

from mmbench.report import answer, systems
from mmbench.report.escaping import all_visible
from mmbench.report.fonts import is_right_to_left, missing_note, not_drawable
from mmbench.report.numbers import join
from mmbench.report.run_data import RunData
from mmbench.report.style import Look, looks
from mmbench.report.systems import Summary
from mmbench.report.tables import Table, write_table
from mmbench.report.text import Text, join_systems, plain, text

Block = dict[str, Any]
_REFERENCES = 3
"""Of an example, that are shown."""


class Document:
    """Collects blocks; tables and figures are also written under the report's folder as they are added."""

    def __init__(self, run: RunData, summary: Summary, folder: Path) -> None:
        self.run = run
        self.summary = summary
        self.folder = folder
        # Of a scaling study some systems may be missing from the run that is shown whole.
        everywhere = [
            name for each in summary.get("by_budget", {}).values() for name in systems.names_of(each, "system")
        ]
        self.looks: dict[str, Look] = looks(list(dict.fromkeys([*run.systems, *everywhere])), run.baselines)
        self.blocks: list[Block] = []
        self.pictures: list[Path] = []
        """Files the template needs beside it, under the names ``figure0.svg``, ``figure1.png``, …"""

    def content(self) -> dict[str, Any]:
        """What the template reads; nothing in it is invisible, and a note says what the fonts at hand cannot draw."""
        found: dict[str, Any] = all_visible(
            {
                "title": plain(self._title()),
                "title_spans": spans_of(self._title()),
                "subtitle": self._subtitle(),
                "name": self.run.name,
                "version": str(self.run.environment.get("mmbench") or ""),
                "colours": {name: look.colour for name, look in self.looks.items()},
                "blocks": self.blocks,
            }
        )
        note = missing_note(not_drawable(_strings(found)))
        found["note"] = note
        return found

    def heading(self, words: str, new_page: bool = False) -> None:
        """A section's heading."""
        self.blocks.append({"type": "heading", "text": words, "new_page": new_page})

    def paragraph(self, content: Text, small: bool = False) -> None:
        """Running text."""
        # What introduces a section stays with what follows.
        sticky = bool(self.blocks) and self.blocks[-1]["type"] == "heading"
        self.blocks.append({"type": "paragraph", "spans": spans_of(content), "small": small, "sticky": sticky})

    def bullets(self, items: list[Text], small: bool = False) -> None:
        """A list of points."""
        if items:
            self.blocks.append({"type": "bullets", "items": [spans_of(item) for item in items], "small": small})

    def lead(self, label: str, items: list[Text]) -> None:
        """A labelled paragraph."""
        joined: Text = []
        for number, item in enumerate(items):
            joined += [*text(" " if number else ""), *item]
        self.blocks.append({"type": "lead", "label": label, "spans": spans_of(joined)})

    def table(self, table: Table | None) -> None:
        """A table, here and as files; nothing for one without rows or numbers."""
        if table is None or not table.rows or len(table.header) < 2:
            return
        write_table(table, self.folder / "tables")
        self.blocks.append(
            {
                "type": "table",
                "title": table.title,
                "header": table.header,
                "groups": [{"t": words, "n": columns} for words, columns in table.groups],
                "align": table.aligned(),
                "rules": table.rules,
                "size": table.size,
                "words": table.left_all,
                "widths": table.widths or [],
                "rows": [[{"t": c.text, "b": c.below, "s": c.style} for c in row] for row in table.rows],
            }
        )

    def notice(self, content: Text) -> None:
        """A warning that a reader must not miss."""
        self.blocks.append({"type": "notice", "spans": spans_of(content)})

    def figure(self, path: Path | None, caption: str) -> None:
        """A figure that lies in the report's folder."""
        if path is not None:
            self.blocks.append({"type": "figure", "path": self._picture(path), "caption": caption})

    def code(self, title: str, words: str, columns: int = 1) -> None:
        """Verbatim lines under a line that says what they are."""
        self.blocks.append({"type": "code", "title": title, "text": words, "columns": columns})

    def examples(self, examples: list[dict[str, Any]]) -> None:
        """Two beside each other: a picture with the prompt, the references and every system's answer."""
        self.blocks.append({"type": "examples", "items": [self._example(example) for example in examples]})

    def _example(self, example: dict[str, Any]) -> Block:
        picture = self.run.files.root / str(example.get("picture") or "")
        # Whatever the folder holds, a picture that may not be passed on does not get into a file that is.
        allowed = self.run.data.get("redistributable") is not False
        shown = allowed and picture.is_file() and picture.suffix in (".png", ".jpg", ".jpeg")
        references = list(dict.fromkeys(map(str, example.get("references") or [])))
        return {
            "path": self._picture(picture) if shown else None,
            "task": "Caption" if example.get("task") == "caption" else "Question",
            "prompt": _directed("" if example.get("task") == "caption" else str(example.get("prompt", ""))),
            "references": [_directed(reference) for reference in references[:_REFERENCES]],
            "more": max(len(references) - _REFERENCES, 0),
            "id": str(example.get("example_id", "")),
            "answers": [{"system": name} | _directed(str(words)) for name, words in self._answers(example)],
        }

    def _answers(self, example: dict[str, Any]) -> list[tuple[str, str]]:
        answers = example.get("answers") or {}
        return [(name, answers[name]) for name in self.looks if name in answers]

    def _picture(self, path: Path) -> str:
        self.pictures.append(path)
        return f"figure{len(self.pictures) - 1}{path.suffix}"

    def _title(self) -> Text:
        names = systems.names_of(self.summary, "system") or self.run.all_systems
        data = str(self.run.data.get("name") or "unnamed data")
        if len(names) > 4:
            return text(f"{len(names)} systems on {data}")
        return text(join_systems(names), f" on {data}")

    def _subtitle(self) -> str:
        counts = (self.run.data.get("splits") or {}).get("test") or {}
        held = ", ".join(f"{value:,} {what}" for what, value in counts.items() if value)
        budgets = self.summary.get("by_budget") or [self.summary["budget"]]
        parts = [join([answer.budget_words(budget) for budget in budgets])]
        seeds = len(self.summary["seeds"])
        parts.append(f"{seeds} seeds" if seeds != 1 else "one seed")
        if held:
            parts.append(f"test split: {held}")
        return " · ".join(parts)


def stage(document: Document, folder: Path) -> None:
    """Copy the pictures to where the template finds them."""
    for number, path in enumerate(document.pictures):
        shutil.copyfile(path, folder / f"figure{number}{path.suffix}")


def spans_of(content: Text) -> list[dict[str, str]]:
    """A text as the template takes it."""
    return [{"t": span.text, "s": span.style} for span in content]


def _directed(words: str) -> dict[str, Any]:
    """A text of the data with the side from which it is read."""
    return {"t": words, "rtl": is_right_to_left(words)}


def _strings(value: Any) -> list[str]:
    """All strings of nested lists and dictionaries, keys (the systems' names) too."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [each for pair in value.items() for part in pair for each in _strings(part)]
    return [each for part in value for each in _strings(part)] if isinstance(value, list) else []
