"""A search whose storage goes away, cannot be written to, or holds no trial yet: a sentence and no traceback."""

import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from mmbench.config.errors import UserError
from mmbench.config.space import read_space
from mmbench.harness.progress import ComparisonDisplay
from mmbench.harness.run_files import RunFiles, write_json
from mmbench.harness.study import open_storage
from mmbench.harness.sweep import save_sweep, trials_table
from mmbench.harness.tuning import Search
from tests.harness.micro_systems import micro_settings


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmbench.harness.study._TRIES", 0)


def search(folder: Path, storage: str) -> Search:
    """Of one system, over data that is only said to be there."""
    run = RunFiles(folder / "run")
    splits = {"validation": {"images": 1}}
    write_json(run.data, {"tasks": [], "splits": splits, "fingerprint": "f", "tokenizer_hash": "t"})
    settings = micro_settings(["unified"])
    settings.tuning.trials, settings.tuning.space = 2, read_space("default")
    display = ComparisonDisplay(run, [], console=Console(file=io.StringIO()))
    return Search(run, settings, ["unified"], "10steps", storage, display, lambda what, error: None)


def test_a_search_without_trials_has_a_table_without_rows(tmp_path: Path) -> None:
    found = search(tmp_path, f"sqlite:///{tmp_path / 'study.db'}").record()
    table = trials_table(found)
    assert list(table.columns) == ["system", "number", "state", "validation_loss", "reason", "front"] and table.empty


def test_the_reason_of_a_failed_trial_is_no_formula_to_a_spreadsheet(tmp_path: Path) -> None:
    one = search(tmp_path, f"sqlite:///{tmp_path / 'study.db'}")
    study = one.studies["unified"]
    asked = study.ask()
    assert asked is not None
    study.tell(asked.number, "failed", None, {}, "=HYPERLINK(1)")
    save_sweep(one.record(), one.files)
    assert list(pd.read_csv(one.files.trials_table)["reason"]) == ["'=HYPERLINK(1)"]


def test_a_storage_that_went_away_gives_no_record(tmp_path: Path) -> None:
    one = search(tmp_path, f"sqlite:///{tmp_path / 'study.db'}")
    one._storage.engine.dispose()
    (tmp_path / "study.db").write_bytes(b"no database")
    with pytest.raises(UserError, match="does not answer any more"):
        one.record()


def test_a_storage_that_cannot_be_written_to(tmp_path: Path) -> None:
    open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    with pytest.raises(UserError, match="does not answer any more"):
        search(tmp_path, f"sqlite:///file:{tmp_path / 'study.db'}?mode=ro&uri=true")
