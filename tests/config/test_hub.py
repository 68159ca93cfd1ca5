"""Names of folders and of the hub: what is found without a network, and what each failure says to do."""

import socket
from pathlib import Path
from typing import Any

import pytest

from mmbench.config.errors import UserError
from mmbench.config.hub import checkpoint_folder, is_offline

COMMIT = "0" * 40


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every use of a socket fails the test."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        pytest.fail("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def _find(name: str, offline: bool = False) -> Path:
    return checkpoint_folder(name, ["*.json"], "language_model.weights", offline)


def test_a_folder_is_itself(tmp_path: Path, no_network: None) -> None:
    assert _find(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["/no/such/folder", "nosuchfolder", "./a/b", "a/b/c"])
def test_a_folder_that_is_not_there(name: str, no_network: None) -> None:
    with pytest.raises(UserError, match=f"weights is '{name}', but there is no such folder: give the path"):
        _find(name)


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_offline_never_touches_the_network(
    by: str, no_network: None, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    if by == "environment":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert is_offline() == (by == "environment")
    with pytest.raises(UserError, match=r"not among the files fetched before; .*\(offline\); or give the path"):
        _find("somebody/some-model", offline=by == "argument")


def test_what_was_fetched_before_is_found_offline(no_network: None, cache: Path) -> None:
    model = cache / "models--somebody--some-model"
    snapshot = model / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(COMMIT)
    assert _find("somebody/some-model", offline=True) == snapshot


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("GatedRepoError", "closed on the hub until its owner lets you in"),
        ("RepositoryNotFoundError", "neither a folder here nor a public name"),
        ("LocalEntryNotFoundError", "the hub cannot be reached"),
        ("HFValidationError", r"could not be had from the hub \(told\)"),
    ],
)
def test_each_failure_says_what_to_do(error: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.errors

    kind = getattr(huggingface_hub.errors, error)
    failure = kind.__new__(kind, "told")  # some want the server's whole response to be made
    failure.args = ("told",)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise failure

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(UserError, match=f"weights 'a/b' .*{says}.*; or give the path of a folder"):
        _find("a/b")
