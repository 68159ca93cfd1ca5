"""No text of users or data sets breaks a format or becomes markup in it, whatever characters it holds."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmbench.harness.csv_file import escape_csv, visible, write_csv
from mmbench.report.build import compile_pdf
from mmbench.report.document import Document
from mmbench.report.escaping import escape_latex, escape_markdown
from mmbench.report.fonts import is_right_to_left, missing_note, not_drawable
from mmbench.report.html import html_page
from mmbench.report.run_data import load_run
from mmbench.report.summary import build_summary
from mmbench.report.tables import Table, TableCell, latex, markdown
from mmbench.report.text import system, text

NASTY = [
    '#panic("x")',
    "$ x $",
    "\\input{/etc/passwd}",
    "*b* _i_ `c`",
    "|a|b|",
    "<script>alert(1)</script>",
    "]]>",
    "=1+1",
    "@SUM(A1)",
    "-2+3",
    "\x00\x1b[31m",
    "\u202egnp.exe",
    "\ud800",
    "שלום עולם",
    "مرحبا بالعالم",
    "日本の猫",
    "🙂👩\u200d👩\u200d👧",
    "x" * 300,
    "a\n\n= b",
    "http://example.org www.example.org a@b.c",
    "&lt; &amp; %d {}",
    "~^'\"",
    "![i](u)",
]
WORDS = st.one_of(
    st.sampled_from(NASTY), st.text(st.characters(), max_size=30), st.lists(st.sampled_from(NASTY)).map("".join)
)


@given(WORDS)
def test_what_is_visible_can_be_written_and_turns_nothing(words):
    shown = visible(words)
    shown.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", shown)
    assert visible(shown) == shown


@given(WORDS)
def test_a_markdown_cell_stays_a_cell(words):
    lines = markdown(Table("t", words, ["System", "N"], [[TableCell(words, style="system"), TableCell("1")]])).split(
        "\n"
    )
    assert len(lines) == 6 and len(re.findall(r"(?<!\\)(?:\\\\)*\|", lines[4])) == 3
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]<>$]", escape_markdown(words))
    assert "http://" not in escape_markdown(words)


@given(WORDS)
def test_latex_gets_no_command_and_no_open_brace(words):
    made = escape_latex(words)
    known = r"\\(?:[&%$#_{}]|text\w+(?:\{\w*\})?|ldots\{\}|dag\{\})|\$(?:-|\\\w+)\$|\{[\[\]]\}"
    assert not re.search(r"[\\&%$#_{}~^]", re.sub(known, "", made))
    body = latex(Table("t", words, ["System"], [[TableCell(words)]]))
    assert body.count(r"\begin{tabular}") == body.count(r"\end{tabular}") == 1 and len(body.splitlines()) == 11


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_no_csv_cell_is_a_formula_and_none_is_lost(tmp_path_factory, words):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    write_csv(pd.DataFrame({"=evil": pd.Series(words, dtype=object), "number": -1.5}), path)
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))
    assert [len(row) for row in rows] == [2] * (len(words) + 1)
    for row, given_words in zip(rows[1:], words, strict=True):
        assert row[0].removeprefix("'").replace("\r", "") == visible(given_words).removeprefix("'").replace("\r", "")
        assert not re.match(r"[=+@\t\r]", row[0]) and row[1] == "-1.5"


def test_a_number_keeps_its_sign():
    assert [escape_csv(words) for words in ("-1.5", "+2", "-x", "=1")] == ["-1.5", "+2", "'-x", "'=1"]


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.names = []

    def handle_starttag(self, tag, attrs):
        self.names.append((tag, tuple(name for name, _ in attrs)))


@pytest.fixture(scope="module")
def loaded(run_dir):
    run = load_run(run_dir)
    return run, build_summary(run)


def document_of(loaded, folder, words):
    """A document with ``words`` in a block of every kind."""
    document = Document(*loaded, folder)
    document.paragraph(text(words, system(words)))
    document.notice(text(words))
    document.lead(words, [text(words)])
    document.bullets([text(words)])
    document.table(Table("t", words, [words, "N"], [[TableCell(words, words, "system"), TableCell("1")]]))
    document.heading(words)
    document.code(words, words)
    example = {
        "example_id": words,
        "task": "answer",
        "prompt": words,
        "references": [words],
        "answers": {"unified": words},
    }
    document.examples([example])
    return document


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(words=WORDS)
def test_the_pdf_compiles_and_the_page_has_no_new_tags(loaded, tmp_path_factory, words):
    folder = tmp_path_factory.mktemp("made")
    document = document_of(loaded, folder, f"{words}a")
    compile_pdf(document, folder / "x.pdf")
    assert (folder / "x.pdf").read_bytes().startswith(b"%PDF")
    mine, plain = Tags(), Tags()
    mine.feed(html_page(document))
    plain.feed(html_page(document_of(loaded, folder, "a")))
    if document.content()["note"]:
        mine.names.remove(("p", ("class",)))  # the note on characters that no font here has
    assert sorted(mine.names) == sorted(plain.names) and "script" not in {tag for tag, _ in mine.names}


def test_all_nasty_texts_at_once(loaded, tmp_path):
    document = document_of(loaded, tmp_path, " ".join(NASTY))
    compile_pdf(document, tmp_path / "x.pdf")
    json.dumps(document.content(), ensure_ascii=False).encode("utf-8")


def test_scripts_that_every_machine_draws():
    assert not_drawable(["abc é ß Ελλάδα Привет שלום مرحبا → ▲ ‡ ⁻¹²", "a\u200db\ufe0f\n"]) == ""


def test_what_no_font_has_is_named():
    assert missing_note("") == ""
    note = missing_note("日本の한ไ\U0001f642")
    assert "3 characters of Chinese and Japanese cannot be drawn" in note and "Noto Sans CJK" in note
    assert "1 character of Korean" in note and "Noto Sans Thai" in note and "emoji" in note
    assert not_drawable(["\U000f0000"]) == "\U000f0000"


def test_directions():
    assert [is_right_to_left(words) for words in ("שלום a", "(2) مرحبا", "a שלום", "123", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]
