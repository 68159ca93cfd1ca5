"""From a run's folder to ``summary.json``, ``reports/NAME.pdf`` and ``reports/NAME/``."""

import json
import os
import shutil
import tempfile
from importlib.resources import files
from pathlib import Path

from mmbench.config.errors import UserError
from mmbench.harness.run_files import write_json
from mmbench.report.document import Document, stage, write_document
from mmbench.report.run_data import load_run
from mmbench.report.summary import build_summary


def build_report(run_dir: Path, reports_dir: Path) -> Path:
    """Write the report of ``runs/NAME``, finished or not, and return the path of the PDF.

    Leaves ``summary.json`` in the run's folder, ``NAME.pdf`` and the folder ``NAME`` with ``figures/`` (SVG, PDF,
    CSV) and ``tables/`` (Markdown, LaTeX, CSV) in ``reports_dir``; an earlier report of the same name is replaced.

    Raises:
        UserError: ``run_dir`` is no run, a file of it is damaged, or ``reports_dir`` cannot be written.
    """
    run = load_run(run_dir)
    summary = build_summary(run)
    name = run.files.name
    try:
        write_json(run.files.summary, summary)
        reports_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=reports_dir, prefix=f".{name}.") as made:
            # Everything is made beside its place and then moved, so that a kill leaves the old report whole.
            folder = Path(made) / "report"
            folder.mkdir()
            document = write_document(run, summary, folder)
            pdf = Path(made) / "report.pdf"
            compile_pdf(document, pdf)
            _replace_folder(folder, reports_dir / name)
            os.replace(pdf, reports_dir / f"{name}.pdf")
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
        typst.compile(str(folder / "template.typ"), output=str(target), root=str(folder))


def _replace_folder(new: Path, place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    os.replace(new, place)
