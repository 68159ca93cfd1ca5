"""``mmbench plan`` as a user runs it, and every mistake."""

import re
from pathlib import Path

import pytest

from mmbench.cli.main import main
from tests.harness.comparisons import MICRO

WORDS = ["plan", "unified", "crossattn", "--scale", str(MICRO), "--no-probe"]


def test_one_row_for_each_system_and_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--budget", "30,60steps", "--match", "params", "--runs", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    first = printed.partition("share")[0]
    for system in ("unified", "crossattn"):
        for steps in (30, 60):
            assert re.search(rf"{system} +{steps}steps .* {steps} ", first), (system, steps)
    assert "not measured" in first, "without a probe there are no times"
    assert re.search(r"unified is matched by connector_width=\d+", printed)
    assert "encoder, language_model" in printed, "what is frozen"
    assert re.search(r"total parameters .* 0\.\d%(?! +▲)", printed)
    assert re.search(r"FLOPs .* ▲", printed)


def test_what_cannot_be_matched_is_flagged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    linear = ["--set", "systems.unified.options.connector=linear"]
    assert main([*WORDS, "--budget", "30steps", "--match", "params", *linear, "--runs", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"unified is not matched, -\d+\.\d%: .*connector_width", printed)
    assert re.search(r"total parameters .*% +▲", printed)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan", "unifed"], "did you mean 'unified'"),
        ([*WORDS, "--budget", "100"], "budget '100' is not understood"),
        ([*WORDS, "--budget", "1steps,2epochs"], "mixes epochs and steps|mixes steps and epochs"),
        ([*WORDS, "--budget", "30steps,30steps"], "twice"),
        ([*WORDS, "--match", "flops"], "params"),
        ([*WORDS, "--budget", "1steps"], "too small"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main([*words, "--runs", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and len(error.splitlines()) == 1
