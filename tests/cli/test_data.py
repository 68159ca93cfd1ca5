"""``mmbench data check``: what it prints of a small folder of one's own, and its exit code."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmbench.cli.main import main


def write_data(folder: Path) -> Path:
    """Twelve different images with a caption each, as JSON lines."""
    (folder / "images").mkdir(parents=True)
    lines = []
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        split = ("train", "validation", "test")[number % 3]
        line = {"image": f"images/{number}.png", "split": split, "captions": [f"picture number {number}"]}
        lines.append(json.dumps(line))
    (folder / "data.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_whole_data_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(write_data(tmp_path / "mine"))]) == 0
    out = capsys.readouterr().out
    assert "jsonl" in out and "Nothing is broken." in out


def test_a_missing_image_is_named_and_the_exit_code_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_data(tmp_path / "mine")
    (folder / "images" / "3.png").unlink()
    assert main(["data", "check", str(folder)]) == 1
    out = capsys.readouterr().out
    assert "1 missing images" in out and "3.png" in out


def test_an_unknown_layout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    assert main(["data", "check", str(tmp_path)]) == 2
    assert "in no known format" in capsys.readouterr().err
