"""Where METEOR and SPICE cannot run, words say why, and calling them anyway is an error that says the same."""

import importlib
import sys
from pathlib import Path

import pytest

from mmbench.metrics import NotComputed, meteor, spice, unavailable

CAPTIONS = {1: ["a cat sat"]}, {1: "a cat"}


def put_java(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """A `java` that only says its version: what other machines have cannot be had here."""
    program = folder / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    for name in [name for name in sys.modules if name.partition(".")[0] == "pycocoevalcap"]:
        monkeypatch.delitem(sys.modules, name)
    importlib.invalidate_caches()
    for name in ("meteor", "spice"):
        assert unavailable(name) == f"{name} needs the reference's Java program: pip install 'mmbench[java]'"


def test_without_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("pycocoevalcap.meteor", reason="the programs come with PyPI's pycocoevalcap")
    monkeypatch.setenv("PATH", str(tmp_path))
    for score in (meteor, spice):
        reason = unavailable(score.__name__)  # type: ignore[arg-type]
        assert reason is not None and reason.endswith("there is no 'java' that runs: install a Java runtime")
        with pytest.raises(NotComputed, match=f"^{score.__name__} was not computed: .*install a Java runtime$"):
            score(*CAPTIONS)


@pytest.mark.parametrize(("version", "number"), [("15.0.2", 15), ("17.0.15", 17), ("21", 21)])
def test_spice_says_which_java(version: str, number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("pycocoevalcap.spice", reason="the programs come with PyPI's pycocoevalcap")
    put_java(tmp_path, monkeypatch, version)
    assert unavailable("meteor") is None
    with pytest.raises(NotComputed, match=f"needs Java 8 to 14, and this is Java {number}:"):
        spice(*CAPTIONS)


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.22", "14.0.1"])
def test_spice_says_what_to_download(version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = Path(pytest.importorskip("pycocoevalcap.spice").__path__[0])
    if (folder / "lib" / "stanford-corenlp-3.6.0-models.jar").exists():
        pytest.skip("SPICE's models are here")
    put_java(tmp_path, monkeypatch, version)
    with pytest.raises(NotComputed, match=r"python -m pycocoevalcap.spice.get_stanford_models$"):
        spice(*CAPTIONS)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="'bleu' does not need Java; meteor and spice do"):
        unavailable("bleu")  # type: ignore[arg-type]
    for score in (meteor, spice):
        with pytest.raises(ValueError, match="no samples"):
            score({}, {})
        with pytest.raises(ValueError, match="1 of 1 ids have no prediction"):
            score({1: ["a"]}, {})
