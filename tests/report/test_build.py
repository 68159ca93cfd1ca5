"""The whole report: it is built from complete and incomplete runs, and text from users never becomes markup."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from mmbench.config.errors import UserError
from mmbench.report import build_report, build_summary
from mmbench.report.pages import write_document
from mmbench.report.run_data import load_run

AWKWARD = '#panic("x") $a$ \\ [b] *c* `d` <e> & % ] ) " 日本 שלום'


@pytest.fixture(scope="module")
def built(run_dir, tmp_path_factory):
    reports = tmp_path_factory.mktemp("reports")
    return build_report(run_dir, reports), reports


def test_a_pdf_a_summary_and_every_format(built, run_dir):
    pdf, reports = built
    assert pdf == reports / "run.pdf" and pdf.read_bytes().startswith(b"%PDF")
    assert json.loads((run_dir / "summary.json").read_text())["schema"] == 1
    tables = {path.name for path in (reports / "run" / "tables").iterdir()}
    assert {
        f"{n}.{e}" for n in ("scores", "pairs_cider_d", "matching", "ledger_cost") for e in ("md", "csv", "tex")
    } <= tables
    figures = {path.name for path in (reports / "run" / "figures").iterdir()}
    names = ("pairs", "quality_cost", "latency_tokens", "learning_curves", "kinds_vqa_accuracy")
    assert figures == {f"{name}.{ending}" for name in names for ending in ("svg", "pdf", "csv")}


def test_figures_are_vectors(built):
    for path in (built[1] / "run" / "figures").glob("*.svg"):
        root = ElementTree.parse(path).getroot()
        assert not list(root.iter("{http://www.w3.org/2000/svg}image"))


def test_nothing_is_left_beside_the_report(built):
    assert {path.name for path in built[1].iterdir()} == {"run", "run.pdf", "run.html"}


def test_building_again_replaces_and_gives_the_same_files(make_run, tmp_path):
    run = make_run(images=10, seeds=2)
    first = build_report(run, tmp_path / "reports")
    before = {p.name: p.read_bytes() for p in (tmp_path / "reports" / "run" / "tables").iterdir()}
    (tmp_path / "reports" / "run" / "tables" / "stale.csv").write_text("old")
    svg = (tmp_path / "reports" / "run" / "figures" / "pairs.svg").read_bytes()
    assert build_report(run, tmp_path / "reports") == first
    after = {p.name: p.read_bytes() for p in (tmp_path / "reports" / "run" / "tables").iterdir()}
    assert before == after and "stale.csv" not in after
    assert svg == (tmp_path / "reports" / "run" / "figures" / "pairs.svg").read_bytes()


def test_text_of_users_is_never_markup(make_run, tmp_path):
    systems = ["unified", "a$b{#c}", "x" * 70]
    run = make_run("na_me #1", systems=systems, awkward=AWKWARD, images=8, failed=[("unified", 1)])
    assert build_report(run, tmp_path / "reports").is_file()


@pytest.mark.parametrize(
    "options",
    [
        {"seeds": 1, "latency": False, "questions": False, "composition": False, "pictures": False},
        {"systems": ["unified"], "seeds": 2},
        {"failed": [(name, seed) for name in ("unified", "crossattn", "hybrid") for seed in range(3)]},
        {
            "waiting": [
                (n, s) for n in ("unified", "crossattn", "hybrid", "chance", "majority", "blind") for s in range(3)
            ]
        },
    ],
    ids=["one seed, captions only", "one system", "all failed", "nothing yet"],
)
def test_incomplete_runs(make_run, tmp_path, options):
    assert build_report(make_run(images=8, **options), tmp_path / "reports").is_file()


def test_a_run_with_cells_alone(make_run, tmp_path):
    run = make_run(images=6)
    for path in run.iterdir():
        if path.is_file():
            path.unlink()
    assert build_report(run, tmp_path / "reports").is_file()


def test_pictures_that_may_not_be_passed_on_stay_out(make_run, tmp_path):
    run = make_run(images=6)
    data = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps(data | {"redistributable": False}))
    loaded = load_run(run)
    document = write_document(loaded, build_summary(loaded), tmp_path / "made")
    assert not [path for path in document.pictures if path.suffix == ".png"]
    examples = [item for block in document.blocks if block["type"] == "examples" for item in block["items"]]
    assert len(examples) == 6 and all(item["path"] is None for item in examples)


def test_no_run(tmp_path):
    with pytest.raises(UserError):
        build_report(tmp_path / "runs" / "none", tmp_path / "reports")


def test_the_report_loads_neither_torch_nor_the_tracker(run_dir, tmp_path):
    code = (
        "import sys; from pathlib import Path; from mmbench.report import build_report; "
        f"build_report(Path({str(run_dir)!r}), Path({str(tmp_path)!r})); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'lightning', 'mlflow', 'matplotlib.pyplot')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
