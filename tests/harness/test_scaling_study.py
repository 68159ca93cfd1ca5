"""``--budget a,b``: one run for each amount, one report, and nothing done twice when the command is given again."""

from pathlib import Path

from mmbench.harness.run_files import RunFiles
from tests.harness.comparisons import compare_command, run


def test_a_study_of_two_amounts_and_then_of_three(tmp_path: Path) -> None:
    words = ["--name", "growth", "--seeds", "1", "--no-latency", "--set", "baselines=[]", "tracking.enabled=false"]
    words += ["--reports", str(tmp_path / "reports")]

    def study(amounts: str) -> dict[str, int]:
        """When each finished cell was last written, by run."""
        command = [word for word in compare_command(tmp_path, "--budget", amounts, *words) if word != "--no-report"]
        ended = run(command)
        assert f"Report: {tmp_path / 'reports' / 'growth.pdf'}" in ended.stdout
        return {
            root.name: RunFiles(root).cell("unified", 0).cell.stat().st_mtime_ns
            for root in sorted((tmp_path / "runs").glob("growth-*"))
        }

    two = study("25,50steps")
    assert list(two) == ["growth-25steps", "growth-50steps"]
    for name, steps in (("growth-25steps", 25), ("growth-50steps", 50)):
        assert RunFiles(tmp_path / "runs" / name).cell("crossattn", 0).read()["ledger"]["steps"] == steps
    three = study("25,50,75steps")
    assert list(three) == [*two, "growth-75steps"]
    assert {name: three[name] for name in two} == two
    assert (tmp_path / "reports" / "growth.pdf").stat().st_size > 10_000
