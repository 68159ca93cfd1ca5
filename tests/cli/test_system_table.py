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
        facts = {name: {"parameters": 1_650_000, "tasks": ["answer", "choose"]} for name in words[4:]}
        return subprocess.CompletedProcess(words, 0, json.dumps(facts))

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_every_system_has_a_row_by_family(counted: list[list[str]]) -> None:
    rows = system_table.system_rows()
    assert sorted(row[0] for row in rows) == preset_names("systems")
    assert [row[1] for row in rows] == sorted((row[1] for row in rows), key=system_table._place)
    assert rows[0][:4] == ["unified", "unified", "1.65 M", "answer, choose"]
    assert all(row[4] for row in rows), "each says what it stands for"


def test_what_was_counted_is_kept_until_something_changes(
    counted: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = system_table.system_rows()
    assert "building" in capsys.readouterr().err
    assert system_table.system_rows() == first and len(counted) == 1
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(system_table, "_code", lambda: "changed")
    system_table.system_rows()
    assert len(counted) == 2 and counted[0][4:] == counted[1][4:]


def test_a_damaged_cache_or_none_is_no_error(counted: list[list[str]]) -> None:
    path = user_cache() / "systems.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    first = system_table.system_rows()
    path.unlink()
    path.mkdir()  # nothing can be written here
    assert system_table.system_rows() == first and len(counted) == 2


def test_no_line_is_wider_than_the_terminal(
    counted: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    assert main(["list", "systems"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = lines[: lines.index("")]
    assert max(map(len, table)) <= 110 and len(table) > len(preset_names("systems"))


@pytest.mark.slow
def test_facts_are_those_of_the_built_system(tmp_path: Path) -> None:
    facts = system_facts(["unified", "vit-classifier"], tmp_path)
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
