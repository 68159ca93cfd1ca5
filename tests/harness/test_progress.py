"""The display reads what cells write: as one live table on a terminal, as plain lines elsewhere."""

import io
import json
import os
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from mmbench.harness import progress
from mmbench.harness.progress import ComparisonDisplay, duration
from mmbench.harness.run_files import RunFiles, write_json

CELLS = [
    ("chance", 0),
    *[(system, seed) for seed in range(3) for system in ("unified", "crossattn", "hybrid", "blind")],
]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(progress, "_READ_INTERVAL_S", 0.0)
    monkeypatch.setattr(progress, "_PLAIN_SHORTEST_S", 0.0)


def plain_console() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=80)


def terminal(width: int = 80, height: int = 24) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def set_cell(run: RunFiles, system: str, seed: int, status: str, fraction: float = 0.0, **more: object) -> None:
    cell = run.cell(system, seed)
    cell.write({"status": status, "reason": more.get("reason"), "ledger": {"wall_s": more.get("wall_s")}})
    if status not in ("done", "failed"):
        values = {"phase": status, "fraction": fraction, "samples_per_s": 512.4, "remaining_s": 21.0}
        write_json(cell.progress, values)
    with cell.log.open("a") as log:
        log.write(json.dumps({"step": 1, "loss": 2.5 - fraction}) + "\n")


def frame(display: ComparisonDisplay, console: Console) -> list[str]:
    """The table as it stands on the terminal."""
    shot = Console(file=io.StringIO(), width=console.width, height=console.height, color_system=None)
    shot.print(display._render())
    return written(shot).rstrip("\n").split("\n")


def test_plain_lines_say_each_phase_and_each_tenth_once(tmp_path: Path) -> None:
    run, console = RunFiles(tmp_path), plain_console()
    with ComparisonDisplay(run, CELLS, "demo on scenes", console=console) as display:
        for percent in range(0, 41, 4):
            set_cell(run, "crossattn", 0, "training", percent / 100)
            display.update()
        set_cell(run, "crossattn", 0, "evaluating")
        display.update()
        set_cell(run, "crossattn", 0, "done", wall_s=32.0)
        set_cell(run, "hybrid", 0, "failed", reason="out of memory [64 rows]")
        for _ in range(3):
            display.update()
        display.say("a [line] of its own")
    lines = written(console).splitlines()
    assert lines[0] == "demo on scenes"
    assert "[  3/13] crossattn seed 0  training 40%  512 samples/s  0:21 left" in lines
    assert [re.findall(r"training (\d+)%", line) for line in lines if "training" in line] == [
        ["0"],
        ["12"],
        ["20"],
        ["32"],
        ["40"],
    ]
    assert sum("evaluating" in line for line in lines) == 1
    assert lines[-3:] == [
        "[  3/13] crossattn seed 0  done in 0:32",
        "[  4/13] hybrid seed 0  failed: out of memory [64 rows]",
        "a [line] of its own",
    ]
    assert "\x1b" not in written(console)


def test_plain_lines_between_tenths_come_every_few_seconds_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(s=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.s))
    run, console = RunFiles(tmp_path), plain_console()
    with ComparisonDisplay(run, CELLS, console=console) as display:
        for clock.s, percent in ((0.0, 1), (5.0, 2), (14.9, 3), (15.1, 4), (29.9, 5)):
            set_cell(run, "unified", 0, "training", percent / 100)
            display.update()
    assert re.findall(r"training (\d+)%", written(console)) == ["1", "4"]


def test_a_terminal_set_to_ci_gets_plain_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    console = terminal()
    with ComparisonDisplay(RunFiles(tmp_path), CELLS, "demo", console=console):
        pass
    assert written(console) == "demo\n"


@pytest.mark.parametrize("num_seeds", [3, 20])
def test_the_table_fits_a_small_terminal_and_shows_what_matters(tmp_path: Path, num_seeds: int) -> None:
    run, console = RunFiles(tmp_path), terminal()
    cells = [(system, seed) for seed in range(num_seeds) for system in ("unified", "crossattn", "hybrid", "blind")]
    display = ComparisonDisplay(run, cells, "a title " * 20, console=console)
    for system in ("unified", "crossattn", "hybrid"):
        set_cell(run, system, 0, "done", wall_s=100.0)
    set_cell(run, "blind", 0, "failed", reason="NaN in the loss at step 17, a long story that does not fit")
    set_cell(run, "unified", 1, "training", 0.5)
    display.phase("pretraining the encoder")
    lines = frame(display, console)
    assert len(lines) <= 23 and all(len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    assert re.search(r"unified +1 +training .* 512 +2.000 +0:21 left", text)
    assert re.search(r"blind +0 +failed +NaN in the", text)
    assert f"4 of {len(cells)} cells" in text
    assert (lines[-3].startswith("… and 3 done, 59 waiting")) == (num_seeds == 20)


def test_time_left_counts_cells_that_have_not_begun(tmp_path: Path) -> None:
    run, console = RunFiles(tmp_path), terminal()
    cells = [("chance", 0), ("unified", 0), ("unified", 1), ("unified", 2)]
    display = ComparisonDisplay(run, cells, console=console)
    assert "estimating" in frame(display, console)[-1]
    set_cell(run, "unified", 0, "done", wall_s=100.0)
    assert "3:20 left" in frame(display, console)[-1]
    two_at_once = ComparisonDisplay(run, cells, jobs=2, console=console)
    assert "1:40 left" in frame(two_at_once, console)[-1]
    for seed in (1, 2):
        set_cell(run, "unified", seed, "done", wall_s=100.0)
    set_cell(run, "chance", 0, "done", wall_s=0.1)
    assert "left" not in frame(display, console)[-1] and "4 of 4 cells" in frame(display, console)[-1]


def test_the_live_display_says_failures_and_finished_phases_above_the_table(tmp_path: Path) -> None:
    run, console = RunFiles(tmp_path), terminal()
    with ComparisonDisplay(run, CELLS, "demo", console=console) as display:
        write_json(tmp_path / "p.json", {"fraction": 0.5, "remaining_s": 9.0})
        display.phase("pretraining the encoder", tmp_path / "p.json")
        assert "0:09 left" in frame(display, console)[-2]
        display.phase(None)
        set_cell(run, "hybrid", 0, "failed", reason="out of memory")
        display.update()
        display.update()
    text = written(console)
    assert re.search(r"done +pretraining the encoder", text)
    assert text.count("failed  hybrid seed 0: out of memory") == 1


def test_printing_and_drawing_at_once_never_lock_each_other(tmp_path: Path) -> None:
    run, console = RunFiles(tmp_path), terminal()

    def work() -> None:
        with ComparisonDisplay(run, CELLS, "demo", console=console) as display:
            assert display._live is not None
            display._live._refresh_thread.refresh_per_second = 1000.0  # type: ignore[union-attr]
            for index in range(150):
                display.phase(f"step {index}")
                display.say("line")
                display.update()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def test_half_written_and_missing_files_are_taken_as_no_news(tmp_path: Path) -> None:
    run, console = RunFiles(tmp_path), terminal()
    display = ComparisonDisplay(run, CELLS, console=console)
    set_cell(run, "unified", 0, "training", 0.5)
    frame(display, console)
    run.cell("unified", 0).progress.write_text('{"phase": "tra')
    run.cell("unified", 0).cell.write_text("")
    assert any(re.search(r"unified +0 +training", line) for line in frame(display, console))


def test_update_is_cheap(tmp_path: Path) -> None:
    run = RunFiles(tmp_path)
    display = ComparisonDisplay(run, CELLS, console=plain_console())
    for system, seed in CELLS:
        set_cell(run, system, seed, "training", 0.5)
    display.update()
    began = time.process_time()
    for _ in range(100):
        display.update()
    assert (time.process_time() - began) / 100 < 0.01
    assert os.listdir(tmp_path) == ["cells"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (21.4, "0:21"), (725, "12:05"), (3727, "1:02:07"), (-1, "0:00")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
