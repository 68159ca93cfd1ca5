"""One finished comparison, shared by the tests that look at what it leaves."""

from pathlib import Path

import pytest

from mmbench.harness.run_files import RunFiles
from tests.harness.comparisons import compare_command, run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    """``runs/done``: two systems and the baselines, two seeds, on scenes."""
    folder: Path = tmp_path_factory.mktemp("comparison")
    run(compare_command(folder, "--name", "done", "--seeds", "2"))
    return RunFiles(folder / "runs" / "done")
