"""From one run's folder, or several, to ``summary.json``, ``reports/NAME.pdf`` and ``reports/NAME/``."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from mmbench.config.errors import UserError
from mmbench.harness.run_files import write_json
from mmbench.report.document import Document, stage
from mmbench.report.fonts import bundled_fonts
from mmbench.report.html import html_page
from mmbench.report.joining import join_runs
from mmbench.report.pages import write_document
from mmbench.report.place import check_place
from mmbench.report.run_data import load_run
from mmbench.report.scaling_pages import write_study
from mmbench.report.summary import build_summary, study_summary

_NAME = re.compile(r"^[^/\\\0]{1,200}$")


def build_report(run_dirs: Path | Sequence[Path], reports_dir: Path, name: str | None = None) -> Path:
    """Write the report of ``runs/NAME``, finished or not, or of several runs as one; return the path of the PDF.

    Leaves ``NAME.pdf``, ``NAME.html`` (its first page) and the folder ``NAME`` with ``figures/`` (SVG, PDF, CSV) and
    ``tables/`` (Markdown, LaTeX, CSV) in ``reports_dir``; an earlier report of the same name is replaced.
    ``summary.json`` goes into the run's folder, that of several runs into ``reports/NAME/``. Different systems at one
    budget become one table, the same systems at several budgets a scaling study.

    Args:
        run_dirs: the folder of a run, or of several.
        reports_dir: where reports are kept.
        name: of the report; the run's if not given, those of several runs joined by ``+``.

    Raises:
        UserError: a folder is no run, a file of it is damaged, the runs cannot be joined, ``reports_dir`` cannot
            be written, or what stands at the report's place is no report.
    """
    runs = [load_run(root) for root in ([run_dirs] if isinstance(run_dirs, Path) else run_dirs)]
    if not runs:
        raise UserError("no run is given; give runs/NAME, or several")
    name = name or "+".join(run.name for run in runs)[:100]
    if not _NAME.match(name) or name.startswith("."):
        raise UserError(
            f"the report's name is '{name}'; it must be the name of a folder, without a slash or leading dot"
        )
    check_place(reports_dir / name, [run.files.root for run in runs])
    joined = join_runs(runs, name) if len(runs) > 1 else runs
    summaries = [build_summary(run) for run in joined]
    summary = study_summary(joined, summaries) if len(joined) > 1 else summaries[0] | {"name": name}
    try:
        if len(runs) == 1:
            write_json(runs[0].files.summary, summary)
        reports_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=reports_dir, prefix=".report.") as made:
            # Everything is made beside its place and then moved, so that a kill leaves the old report whole.
            folder = Path(made) / "report"
            folder.mkdir()
            write = write_study if len(joined) > 1 else write_document
            document = write(joined[-1], summary, folder)
            if len(runs) > 1:
                write_json(folder / "summary.json", summary)
            pdf = Path(made) / "report.pdf"
            compile_pdf(document, pdf)
            twin = Path(made) / "report.html"
            twin.write_text(html_page(document), encoding="utf-8")
            _replace_folder(folder, reports_dir / name)
            os.replace(pdf, reports_dir / f"{name}.pdf")
            os.replace(twin, reports_dir / f"{name}.html")
    except PermissionError as error:
        raise UserError(f"no permission to write '{error.filename}': give a folder that you may write to") from error
    return reports_dir / f"{name}.pdf"


def compile_pdf(document: Document, target: Path) -> None:
    """Set the document with typst; all its text goes there as one JSON file."""
    import typst  # loads a compiler of some 50 MB, which only this function needs

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "template.typ").write_bytes(files("mmbench.report").joinpath("template.typ").read_bytes())
        (folder / "document.json").write_text(json.dumps(document.content()), encoding="utf-8")
        stage(document, folder)
        fonts = [str(bundled_fonts())]
        typst.compile(str(folder / "template.typ"), output=str(target), root=str(folder), font_paths=fonts)


def _replace_folder(new: Path, place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    os.replace(new, place)
