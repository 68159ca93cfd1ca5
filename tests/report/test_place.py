"""A report replaces an earlier report and nothing else."""

import pytest

from mmbench.config.errors import UserError
from mmbench.report import build_report
from mmbench.report.place import check_place


def test_a_run_is_never_replaced(make_run):
    run = make_run(images=4, seeds=1)
    before = sorted(path for path in run.rglob("*"))
    with pytest.raises(UserError, match="would replace the run"):
        build_report(run, run.parent)
    assert sorted(path for path in run.rglob("*")) == before


def test_a_run_that_is_yet_to_come_is_not_replaced_either(tmp_path):
    with pytest.raises(UserError, match="would replace the run"):
        check_place(tmp_path / "new", [tmp_path / "new"])


def test_another_run_and_folders_of_users_stay(run_dir, make_run):
    other = make_run("other", images=4, seeds=1)
    with pytest.raises(UserError, match="is no report: it holds 'cells'"):
        build_report(run_dir, other.parent, name="other")
    source = other.parent / "src"
    source.mkdir()
    (source / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="it holds 'thesis"):
        build_report(run_dir, other.parent, name="src")
    assert (source / "thesis.tex").read_text() == "years of work"


def test_a_file_or_link_at_the_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name in ("file", "link"):
        with pytest.raises(UserError, match="is a file or a link"):
            check_place(tmp_path / name, [])


def test_an_earlier_report_makes_way(tmp_path):
    for name in ("figures", "tables"):
        (tmp_path / "run" / name).mkdir(parents=True)
    check_place(tmp_path / "run", [tmp_path / "runs" / "run"])
