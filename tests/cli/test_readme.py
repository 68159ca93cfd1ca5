"""The README's commands are commands, its links lead somewhere, and its sample of data is read."""

import json
import re
import shlex
from pathlib import Path

from mmbench.cli.main import build_parser
from mmbench.config.data import SourceSettings
from mmbench.data.formats import jsonl

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_every_command_is_understood() -> None:
    commands = [
        # What follows two spaces explains the command.
        re.split(r" {2,}", command.strip())[0].removeprefix(".venv/bin/")
        for block in BLOCKS
        for line in block.splitlines()
        for command in line.split("&&")
        if command.strip().removeprefix(".venv/bin/").startswith("mmbench ")
    ]
    assert len(commands) >= 10
    for command in commands:
        words = shlex.split(command.replace("…", "crossattn"))[1:]
        assert build_parser().parse_args(words)["command"] == words[0], command


def test_the_sample_line_of_data_is_read(tmp_path: Path) -> None:
    sample = next(block for block in BLOCKS if block.startswith("{"))
    assert set(json.loads(sample)) == {"image", "split", "captions", "questions"}
    (tmp_path / "mine.jsonl").write_text(sample)
    (tmp_path / "photos").mkdir()
    parsed = jsonl.read(SourceSettings(format="jsonl", path=str(tmp_path / "mine.jsonl")))
    assert parsed.problems == []


def test_both_first_commands_stand_on_one_line() -> None:
    first = [block.strip() for block in BLOCKS if block.startswith(("python -m venv", ".venv/bin/pip"))]
    assert len(first) == 2
    assert all("\n" not in command for command in first)
    assert first[0].endswith("mmbench compare unified crossattn hybrid")
    assert first[1].endswith("pytest")
