"""``mmbench list systems``: names, families, parameters, what each can do, and that all this is kept."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from mmbench.cli import system_table
from mmbench.cli.main import main
from mmbench.config.presets import preset_names
from mmbench.config.user_cache import user_cache
from mmbench.harness.system_facts import system_facts


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A cache of its own, and a count that answers at once; the commands that would have counted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    commands: list[list[str]] = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(words)
        facts = {"parameters": 1_650_000, "tasks": ["answer", "choose"]}
        return subprocess.CompletedProcess(words, 0, "".join(json.dumps({name: facts}) + "\n" for name in words[4:]))

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_every_system_has_a_row_by_family(counted: list[list[str]]) -> None:
    (header, *rows), _ = system_table.system_table()
    assert header == list(system_table.HEADER)
    assert sorted(row[0] for row in rows) == preset_names("systems")
    assert [row[1] for row in rows] == sorted((row[1] for row in rows), key=system_table._place)
    assert rows[0][:4] == ["unified", "unified", "1.65 M", "answer, choose"]
    assert all(row[4] for row in rows), "each says what it stands for"


def test_what_was_counted_is_kept_until_something_changes(
    counted: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = system_table.system_table()
    assert "building" in capsys.readouterr().err
    assert system_table.system_table() == first and len(counted) == 1
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(system_table, "_code", lambda: "changed")
    system_table.system_table()
    assert len(counted) == 2 and counted[0][4:] == counted[1][4:]


def test_a_damaged_cache_or_none_is_no_error(counted: list[list[str]]) -> None:
    path = user_cache() / "systems.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    first = system_table.system_table()
    path.unlink()
    path.mkdir()  # nothing can be written here
    assert system_table.system_table() == first and len(counted) == 2


ENDINGS = [
    (-9, "ended by signal 9"),
    (1, "ended with exit code 1"),
]


@pytest.mark.parametrize(("code", "said"), ENDINGS)
def test_what_could_not_be_built_is_unknown_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    """What was told before the process ended is taken and kept, the rest is tried again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked: list[list[str]] = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(words[4:])
        told = [{"aria": {"parameters": 1_650_000, "tasks": ["answer"]}}, {"clip": {"error": "no such connector"}}]
        return subprocess.CompletedProcess(words, code, "\n".join([*map(json.dumps, told), '{"concat": {"para']))

    monkeypatch.setattr(subprocess, "run", run)
    rows, notes = system_table.system_table()
    cells = {row[0]: row[2:4] for row in rows}
    assert cells["aria"] == ["1.65 M", "answer"] and cells["clip"] == cells["concat"] == ["unknown", "unknown"]
    others = len(preset_names("systems")) - 2
    assert notes[-2:] == [
        f"Unknown of {others} systems: the process that builds the systems {said}",
        "Unknown of clip: no such connector",
    ]
    system_table.system_table()
    assert [name for name in asked[0] if name not in asked[1]] == ["aria"]


@pytest.mark.parametrize("columns", [60, 80, 110, 120])
def test_no_line_is_wider_than_the_terminal(
    counted: list[list[str]], columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["list", "systems"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = lines[: lines.index("")]
    assert max(map(len, table)) <= max(columns, 66) and len(table) > len(preset_names("systems"))
    (alias,) = (number for number, line in enumerate(table) if line.startswith("attention "))
    whole = "same as intermediate-attention"
    if columns < 100:
        assert table[alias + 1] == f"    {whole}" and table[alias].endswith("answer, choose")
    else:
        assert table[alias].endswith(f"answer, choose  {whole}") and table[alias + 1].startswith("concat ")


@pytest.mark.slow
def test_facts_are_those_of_the_built_system(tmp_path: Path) -> None:
    facts = dict(system_facts(["unified", "vit-classifier"], tmp_path))
    assert facts["unified"]["parameters"] > 1_000_000
    assert set(facts["vit-classifier"]["tasks"]) < set(facts["unified"]["tasks"])


@pytest.mark.skipif(os.name == "nt", reason="the folders of other platforms")
def test_the_cache_lies_where_the_platform_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "mmbench"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setattr("sys.platform", "linux")
    assert user_cache() == Path.home() / ".cache" / "mmbench"
    monkeypatch.setattr("sys.platform", "darwin")
    assert user_cache() == Path.home() / "Library" / "Caches" / "mmbench"
