"""Tables that would grow past the page are cut to it, and their files are not."""

import copy

from mmbench.report.ledger_tables import cells_table
from mmbench.report.run_data import load_run
from mmbench.report.score_tables import split_table
from mmbench.report.tables import markdown


def test_the_table_of_a_split_has_four_metrics_at_most_and_its_file_all(whole_summary):
    summary = copy.deepcopy(whole_summary)
    for content in summary["systems"].values():
        content["splits"]["composition"] = dict(content["metrics"])
    table = split_table(summary, "composition")
    assert table is not None and table.data is not None
    assert sum(columns for _, columns in table.groups) == len(table.header) <= 1 + 4 * 3
    assert all(len(row) == len(table.header) for row in table.rows)
    assert len(table.groups) == 1 + 4 and table.data["metric"].nunique() > 4
    assert "VQA acc., test | VQA acc., composition | VQA acc., change" in markdown(table)


def test_a_change_is_that_from_the_test_split(whole_summary):
    table = split_table(whole_summary, "composition")
    content = whole_summary["systems"]["hybrid"]
    change = content["splits"]["composition"]["cider_d"]["mean"] - content["metrics"]["cider_d"]["mean"]
    row = next(row for row in table.rows if row[0].text == "hybrid")
    column = table.whole_header().index("CIDEr-D, change")
    assert abs(float(row[column].text.replace("\N{MINUS SIGN}", "-")) - 100 * change) < 0.06


def test_cells_that_ended_alike_share_a_row(make_run):
    run = load_run(make_run(images=6, failed=[("hybrid", 1)]))
    table = cells_table(run)
    rows = {(row[0].text, row[1].text): row for row in table.rows}
    assert len(rows) == len(table.rows) == 7
    assert rows["hybrid", "failed"][2].text.startswith("1") and "out of memory" in rows["hybrid", "failed"][3].text
    assert table.data is not None and len(table.data) == len(run.cells)
