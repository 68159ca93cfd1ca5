"""The layout of a run's folder, and JSON files that are whole or not there."""

import json
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmbench.harness.run_files import CellFiles, RunFiles, read_json, write_json


def test_paths_are_those_of_the_documented_layout(tmp_path: Path) -> None:
    run = RunFiles(tmp_path / "runs" / "demo")
    names = {
        "comparison": "comparison.yaml",
        "command": "command.txt",
        "environment": "environment.json",
        "probe": "probe.json",
        "data": "data.json",
        "pretraining": "pretraining.json",
        "predictions": "predictions.parquet",
        "latency": "latency.json",
        "examples": "examples.json",
        "examples_dir": "examples",
        "summary": "summary.json",
        "tracking": "tracking.json",
        "cells_dir": "cells",
        "lock": "lock",
    }
    assert {name: getattr(run, name).relative_to(run.root).as_posix() for name in names} == names
    assert run.scores("test").name == "scores.parquet"
    assert run.scores("composition").name == "scores_composition.parquet"
    assert run.name == "demo" and run.runs_dir == tmp_path / "runs"


def test_cell_paths() -> None:
    cell = RunFiles(Path("runs/demo")).cell("crossattn", 12)
    assert cell.root == Path("runs/demo/cells/crossattn/seed12")
    assert (cell.system, cell.seed) == ("crossattn", 12)
    assert cell.checkpoint == cell.root / "checkpoints" / "last.ckpt"
    assert cell.weights == cell.root / "checkpoints" / "final.ckpt"
    assert [cell.scores().name, cell.scores("composition").name] == ["scores.parquet", "scores_composition.parquet"]


def test_cells_are_sorted_by_number_and_other_folders_are_left_out(tmp_path: Path) -> None:
    run = RunFiles(tmp_path)
    assert run.cells() == []
    for system, seed in [("b", 10), ("b", 2), ("a", 0)]:
        run.cell(system, seed).write({"status": "waiting"})
    (tmp_path / "cells" / "a" / "seedling").mkdir()
    assert [(cell.system, cell.seed) for cell in run.cells()] == [("a", 0), ("b", 2), ("b", 10)]


def test_cell_json_is_empty_before_the_first_write_and_replaced_after(tmp_path: Path) -> None:
    cell = CellFiles(tmp_path / "a" / "seed0")
    assert cell.read() == {}
    cell.write({"status": "waiting", "reason": "größer"})
    cell.write({"status": "done"})
    assert cell.read() == {"status": "done"}


def test_a_folder_that_is_no_cell_has_no_seed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seedK"):
        _ = CellFiles(tmp_path / "a" / "best").seed


def test_write_json_keeps_the_old_file_when_the_new_content_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": 2, "b": object()})
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_written_files_are_readable_by_others_as_usual(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {})
    (tmp_path / "plain").write_text("")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("x.json", "plain")}
    assert len(modes) == 1


def test_a_reader_never_sees_half_a_file_of_a_killed_writer(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"round": -1, "filler": []})
    code = (
        "import sys; from pathlib import Path; from mmbench.harness.run_files import write_json\n"
        "print('go', flush=True)\n"
        "for round in range(10**9): write_json(Path(sys.argv[1]), {'round': round, 'filler': [round] * 20000})\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None and writer.stdout.readline() == "go\n"
    seen = []
    deadline = time.monotonic() + 20
    while len({content["round"] for content in seen}) < 8 and time.monotonic() < deadline:
        seen.append(json.loads(path.read_text()))
    writer.kill()
    writer.wait()
    writer.stdout.close()
    for content in [*seen, read_json(path)]:
        assert all(item == content["round"] for item in content["filler"])
    assert len({content["round"] for content in seen}) == 8
