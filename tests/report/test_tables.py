"""Tables as files: what users write into them stays text in every format."""

import csv

from mmbench.report.tables import Table, TableCell, latex, markdown, write_table

AWKWARD = 'a|b_c *d* $x$ #1 \\cmd{y} [z](w) <i> & 50% "q"\nnext'


def make_table():
    rows = [
        [TableCell(AWKWARD, style="system"), TableCell("61.2", "[59.8, 62.6]", "bold")],
        [TableCell("b"), TableCell("1")],
    ]
    return Table("t", "Title & more", ["System", "VQA_acc."], rows, rules=[1])


def test_markdown_keeps_its_columns():
    lines = markdown(make_table()).splitlines()
    assert lines[3] == "| --- | ---: |"
    row = lines[4].replace("\\|", "")
    assert row.count("|") == 3 and "\\*d\\*" in row and "&lt;i&gt;" in row and "\\$x\\$" in row


def test_latex_has_no_command_of_the_users():
    text = latex(make_table())
    assert r"\begin{tabular}{lr}" in text and r"\toprule" in text and r"\textbf{61.2 {[}59.8, 62.6{]}}" in text
    row = next(line for line in text.splitlines() if "61.2" in line)
    assert r"a\textbar{}b\_c *d* \$x\$ \#1 \textbackslash{}cmd\{y\}" in row and r"50\% " in row
    assert text.count(r"\midrule") == 2


def test_csv_holds_the_text_as_it_is(tmp_path):
    write_table(make_table(), tmp_path)
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[1] == [AWKWARD, "61.2 [59.8, 62.6]"]
    assert {path.name for path in tmp_path.iterdir()} == {"t.md", "t.tex", "t.csv"}
